"""Tables that nfacctd fills, read back as flows."""
