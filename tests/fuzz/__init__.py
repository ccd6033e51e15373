"""Whatever reads octets that others wrote, fed with octets that nobody would write.

`targets` has one function for each reader; `make fuzz` lets coverage guide a fuzzer (atheris)
through them for as long as it is told, and the tests run each of them over its seeds.
"""
