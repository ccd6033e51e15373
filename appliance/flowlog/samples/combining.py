"""Samples of several periods as that of the longer one that they are parts of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from appliance.atomic_files import atomic_write
from appliance.errors import StorageError
from appliance.flowlog.limits import Cursor
from appliance.flowlog.samples.drawing import SampleSize
from appliance.flowlog.samples.files import (
    MODE,
    PRIORITY,
    THRESHOLD,
    Described,
    SampleFile,
    metadata_of,
    read_sample,
)
from appliance.flowlog.samples.period import STRATUM, PeriodSample


def combine(parts: Sequence[SampleFile], target: Path, size: SampleSize) -> None:
    """Make the sample of a day or month from those of its parts.

    Only what tells which rows are kept is read of all parts together.

    Raises
    ------
    StorageError
        The sample cannot be written.
    DamagedFile
        A part is; it is set aside.
    """
    sample, held = PeriodSample(size), Cursor()
    for number, part in enumerate(parts):
        table, described = read_sample(part.path, [PRIORITY, THRESHOLD, *STRATUM])
        sample.restore(table, described.n_flows, number)
        held = max(held, described.cursor)
    schemas = [pq.read_schema(part.path).remove_metadata() for part in parts]
    metadata = metadata_of(Described(sample.n_flows, held))
    schema = pa.unify_schemas(schemas).with_metadata(metadata)
    try:
        with (
            atomic_write(target, MODE, durable=True) as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for number, part in enumerate(parts):
                kept = sample.above(read_sample(part.path)[0], number)
                tables = [schema.empty_table(), kept.replace_schema_metadata(None)]
                joined = pa.concat_tables(tables, promote_options="default")
                writer.write_table(joined.select(schema.names).cast(schema))
    except OSError as error:
        raise StorageError(f"sample {target} cannot be written: {error}") from error
