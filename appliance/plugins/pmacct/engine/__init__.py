"""nfacctd itself: as a program in place of our receiver, and its file of templates."""
