// A decoding process that never gets ready.
process.stderr.write('no room\n', () => process.exit(7));
