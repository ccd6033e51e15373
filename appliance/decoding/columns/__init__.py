"""From the elements of Data Records to the columns of a FlowBatch."""
