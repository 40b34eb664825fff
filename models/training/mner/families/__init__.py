"""Model families: one file each, which reads like its paper."""
