"""pmacct's configuration as nfacctd reads it: what a site already has keeps working here."""
