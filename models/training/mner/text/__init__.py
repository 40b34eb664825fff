"""The text side: from words to numbers, and the encoder that reads them."""
