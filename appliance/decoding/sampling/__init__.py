"""What options records tell, and the sampling rate of each record."""
