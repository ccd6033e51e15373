"""Parquet written by hand where that pays: columns of few values, and files that are joined.

What it saves, next to pyarrow writing the same million flows with its defaults, zstd and absent
columns left out (`python -m tests.benchmarks parquet`; `lean` and `rich` are flows with few and
many columns, with 10,000 to a million hosts):

| | by hand | pyarrow | pyarrow with these encodings |
|---|---|---|---|
| writing, CPU ms | 161 to 373 | 374 to 737 | 297 to 523 |
| joining, CPU ms | 14 to 29 | 497 to 975 | 365 to 639 |
| octets a flow, 60,000 hosts, lean and rich | 15.4, 19.5 | 14.7, 17.9 | 18.9, 22.9 |
| octets a flow, 200,000 hosts, lean and rich | 19.8, 23.9 | 15.5, 18.7 | 18.8, 22.8 |

A flow is joined two or three times, so that is where it pays most. Beyond 65,536 hosts addresses
are no longer kept in a dictionary. A dictionary of half a million would save 3 octets a flow and
cost 50 to 100 ms.

What is by hand has Bloom filters of addresses (`bloom`), the others have none.

`files` reads and writes files, `encoding` chooses how a column is written, `chunks` writes its
pages, `thrift` the headers, and `seeking` tells what files may hold of a long list.
"""

from appliance.flowlog.parquet.files import ParquetFile, ParquetWriter

__all__ = ["ParquetFile", "ParquetWriter"]
