"""What chat services send: signed, encrypted, in their own formats. Values in, values out, no I/O."""
