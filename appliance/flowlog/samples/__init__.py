"""Samples of the flow log: some flows of each hour, day and month, kept longer than the others.

Which flows are kept is drawn so that the sum over any later choice of them is estimated without
bias, each with its standard error.

References
----------
Duffield, Lund, Thorup: Priority sampling for estimation of arbitrary subset sums, JACM 54(6), 2007
"""
