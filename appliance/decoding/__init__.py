"""From datagrams to columns: what every decoder shares, between the wire and the FlowBatch.

`results` is the contract of a decoder, `templated` the way of a block of NetFlow v9 or IPFIX,
`columns` what records mean, `inspection` how people read them.
"""
