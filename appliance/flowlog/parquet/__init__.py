"""Parquet written by hand where that pays: columns of few values, and files that are joined.

What it saves, next to pyarrow writing the same million flows with its defaults, zstd and absent
columns left out (`python -m tests.benchmarks parquet`; `lean` and `rich` are flows with few and
many columns, with 10,000 to a million hosts):

| | by hand | pyarrow | pyarrow with these encodings |
|---|---|---|---|
| writing, CPU ms | 169 to 256 | 358 to 537 | 303 to 406 |
| joining, CPU ms | 15 to 22 | 512 to 697 | 384 to 626 |
| octets a flow, 60,000 hosts, lean and rich | 15.3, 19.4 | 14.7, 17.9 | 18.9, 22.9 |
| octets a flow, 200,000 hosts, lean and rich | 19.6, 23.7 | 15.5, 18.7 | 18.8, 22.8 |

A flow is joined two or three times, so that is where it pays most. Beyond 65,536 hosts addresses
are no longer kept in a dictionary. A dictionary of half a million would save 3 octets a flow and
cost 50 to 100 ms.

Addresses have Bloom filters (`bloom`), which make writing 2 to 10 % dearer.

`files` reads and writes files, `encoding` chooses how a column is written, `chunks` writes its
pages, `thrift` the headers.
"""

from appliance.flowlog.parquet.files import ParquetFile, ParquetWriter

__all__ = ["ParquetFile", "ParquetWriter"]
