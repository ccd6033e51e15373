"""Template records, decode plans, and which template applies to which Data Set."""
