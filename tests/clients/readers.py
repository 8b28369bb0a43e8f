"""READERS: DuckDB writes datasets, and reads back what exports of them deliver: every format, row by row.

The values have everything that an encoding could damage. A CSV file is read with the settings of its export, a value without
quotes that equals the text for null is null, and a quoted one is a text.
"""

import gzip
import hashlib
import json
import pathlib
import tempfile

import duckdb
import grpc

import servers
import trailers

ROWS = 6_000
PARENT = "organizations/acme"

TEXTS = [
    None,
    "",
    " ",
    "NULL",
    '"',
    'a "quoted" word',
    "it's",
    "comma, semicolon; tab\t pipe|",
    "line\nfeed",
    "carriage\rreturn",
    "both\r\nof them",
    "\n",
    "back\\slash \\n \\N \\.",
    "=1+1",
    "+1",
    "-1",
    "@a",
    "\ta",
    "\ra",
    "ä ß 漢字 مرحبا",
    "🦀 👩\u200d👩\u200d👧 🇪🇺",
    "\ufeffmark",
    "control \u0001 \u001f \u007f",
    "null",
    "1e5",
    "2026-11-24",
    "{\"json\": [1]}",
    "ends with quote\"",
    "'",
]
# Each file begins with the first of the texts: without a header, DuckDB finds the line ending by the first line break.
ROWS_PER_FILE = 80 * len(TEXTS)

# Name and type of each field, the expression that makes it from the row number i, and the expression that reads its text.
FIELDS = [
    ("id", "BIGINT", "i", "id::BIGINT"),
    ("text", "VARCHAR", "t.text", "text"),
    ("padding", "VARCHAR", "repeat(md5(i::VARCHAR), 8)", "padding"),
    ("flag", "BOOLEAN", "CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END", "flag::BOOLEAN"),
    ("small", "SMALLINT", "CASE WHEN i % 5 > 0 THEN i * 37 % 65536 - 32768 END", "small::SMALLINT"),
    ("large", "UBIGINT", "18446744073709551615 - i", "large::UBIGINT"),
    ("amount", "DECIMAL(18, 4)", "CASE WHEN i % 4 > 0 THEN (i - 3000) * 98765432.1234 END", "amount::DECIMAL(18, 4)"),
    ("wide", "DECIMAL(38, 10)", "1234567890123456789012345678.0000000001::DECIMAL(38, 10) - i", "wide::DECIMAL(38, 10)"),
    ("ratio", "DOUBLE", "[0.1, -0.0, 1e300, 5e-324, 1 / 3, 123456789012345680000.0, NULL][i % 7 + 1] * (i % 2 + 1)", "ratio::DOUBLE"),
    ("day", "DATE", "CASE WHEN i % 6 > 0 THEN DATE '0001-01-01' + (i * 600 % 3652058)::INTEGER END", "day::DATE"),
    ("seen", "TIMESTAMPTZ", "make_timestamptz(i * 1234567890123 - 3000000000000000)", "seen::TIMESTAMPTZ"),
    ("clock", "TIME", "CASE WHEN i % 8 > 0 THEN TIME '00:00:00' + to_microseconds(i * 14399999) END", "clock::TIME"),
    ("bytes", "BLOB", "CASE WHEN i % 9 > 0 THEN unhex(md5(i::VARCHAR)) WHEN i % 2 = 0 THEN ''::BLOB END", "from_base64(bytes)"),
]

# The types that JSON has; it has all others as text.
JSON_TYPES = {"BIGINT", "VARCHAR", "BOOLEAN", "SMALLINT", "UBIGINT", "DOUBLE"}

# The types that a schema file can declare.
DECLARED = {
    "id": {"type": "integer"},
    "text": {"type": "string"},
    "padding": {"type": "string"},
    "flag": {"type": "boolean"},
    "amount": {"type": "decimal", "precision": 18, "scale": 4},
    "wide": {"type": "decimal", "precision": 38, "scale": 10},
    "ratio": {"type": "double"},
    "day": {"type": "date"},
    "seen": {"type": "timestamp"},
    "clock": {"type": "time"},
}

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}

FORMATS = [
    *({"file_format": "csv", "compression": compression} for compression in ["none", "gzip", "zstd"]),
    *({"file_format": "csv", "compression": "none", "delimiter": name} for name in ["semicolon", "tab", "pipe"]),
    {"file_format": "csv", "compression": "none", "quoting": "all"},
    {"file_format": "csv", "compression": "none", "null_text": "NULL", "line_ending": "lf"},
    {"file_format": "csv", "compression": "gzip", "null_text": "\\N", "quoting": "all", "delimiter": "tab", "line_ending": "lf"},
    {"file_format": "csv", "compression": "none", "byte_order_mark": True},
    {"file_format": "csv", "compression": "zstd", "include_header": False},
    {"file_format": "csv", "compression": "none", "formula_guard": True},
    *({"file_format": "jsonl", "compression": compression} for compression in ["none", "gzip", "zstd"]),
    *({"file_format": "parquet", "parquet_compression": compression} for compression in ["none", "snappy", "zstd"]),
]


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def write_datasets(db, folder):
    """Writes tables with and without rows as Parquet, and one as CSV with a file of its types."""
    folder.mkdir(parents=True)
    db.execute("CREATE TABLE texts (n INTEGER, text VARCHAR)")
    db.executemany("INSERT INTO texts VALUES (?, ?)", list(enumerate(TEXTS)))
    columns = ", ".join(f"({made})::{kind} AS {name}" for name, kind, made, _ in FIELDS)
    rows = f"SELECT {columns} FROM range({ROWS}) r(i) JOIN texts t ON t.n = i % {len(TEXTS)} ORDER BY i"
    db.execute(f"CREATE TABLE everything AS {rows}")
    db.execute("CREATE TABLE nothing AS SELECT * FROM everything LIMIT 0")
    for table in ["everything", "nothing"]:
        db.execute(f"COPY {table} TO {quoted(folder / f'{table}.parquet')} (ROW_GROUP_SIZE 2048)")
    # In a CSV source an empty value is null.
    names = ", ".join("nullif(text, '') AS text" if name == "text" else name for name in DECLARED)
    db.execute(f"CREATE TABLE declared AS SELECT {names} FROM everything ORDER BY id")
    seen = "strftime(seen AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') AS seen"
    copied = ", ".join(seen if name == "seen" else name for name in DECLARED)
    db.execute(f"COPY (SELECT {copied} FROM declared ORDER BY id) TO {quoted(folder / 'declared.csv')} (HEADER)")
    fields = [{"name": name, **declared} for name, declared in DECLARED.items()]
    (folder / "declared.schema.json").write_text(json.dumps({"fields": fields}))


class Outflow:
    """Delivers exports into a local directory."""

    def __init__(self, server, channel):
        self.outbox = server.data_dir / "outbox/acme/readers"
        self.connections = trailers.connections_grpc.ConnectionServiceStub(channel)
        self.exports = trailers.exports_grpc.ExportServiceStub(channel)
        self.caller = {"metadata": [("authorization", f"Bearer {server.token('admin', 'root')}")]}
        connection = trailers.connection_pb.Connection(display_name="Readers", connection_type="connectionTypes/local_directory")
        connection.properties.update({"directory": "readers"})
        request = trailers.connections_pb.CreateConnectionRequest(parent=PARENT, connection=connection)
        self.connection = self.connections.CreateConnection(request, **self.caller).connection.name

    def start(self, folder, tables, settings):
        """Starts a run of a new export, and returns its name."""
        payload = trailers.export_pb.Payload(tables=[trailers.export_pb.PayloadTable(table=table) for table in tables])
        export = trailers.export_pb.Export(display_name=folder, connection=self.connection, payload=payload)
        export.destination_settings.update({"folder": folder, **settings})
        request = trailers.exports_pb.CreateExportRequest(parent=PARENT, export=export)
        name = self.exports.CreateExport(request, **self.caller).export.name
        return self.exports.RunExport(trailers.exports_pb.RunExportRequest(name=name), **self.caller).run.name

    def result(self, run, folder):
        """Waits for the end of a run, and returns its files by table, with the sizes and digests of its manifest."""
        request = trailers.exports_pb.WatchExportRunRequest(name=run)
        for message in self.exports.WatchExportRun(request, **self.caller):
            last = message.run
        assert last.State.Name(last.state) == "STATE_SUCCEEDED", last
        folder = self.outbox / folder
        (path,) = [path for path in folder.rglob("*.json") if path.name.endswith(("_SUCCESS.json", ".manifest.json"))]
        manifest = json.loads(path.read_text())
        assert manifest["run"] == run and manifest["rows"] == last.stats.rows_written, manifest
        files = {}
        for file in manifest["files"]:
            content = (folder / file["path"]).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"]), file
            files.setdefault(file["table"], []).append((folder / file["path"], file["rows"]))
        found = {path for path in folder.rglob("*") if path.is_file()}
        assert found == {path, *(path for paths in files.values() for path, _ in paths)}, found
        return files


def reading(path, settings, names):
    """Returns the SELECT that reads a file with the types of its source."""
    kinds = {name: (kind, cast) for name, kind, _, cast in FIELDS}
    if settings["file_format"] == "parquet":
        return f"SELECT {', '.join(names)} FROM read_parquet({quoted(path)})"
    casts = ", ".join(f"{kinds[name][1]} AS {name}" for name in names)
    if settings["file_format"] == "jsonl":
        column = lambda name: f"{name}: '{kinds[name][0] if kinds[name][0] in JSON_TYPES else 'VARCHAR'}'"
        columns = ", ".join(map(column, names))
        return f"SELECT {casts} FROM read_json({quoted(path)}, format = 'newline_delimited', columns = {{{columns}}})"
    columns = ", ".join(f"{name}: 'VARCHAR'" for name in names)
    options = {
        "delim": quoted(DELIMITERS[settings.get("delimiter", "comma")]),
        "nullstr": quoted(settings.get("null_text", "")),
        "header": settings.get("include_header", True),
        "columns": f"{{{columns}}}",
        "quote": "'\"'",
        "escape": "'\"'",
        "allow_quoted_nulls": False,
        "auto_detect": False,
        "strict_mode": True,
    }
    options = ", ".join(f"{key} = {value}" for key, value in options.items())
    return f"SELECT {casts} FROM read_csv({quoted(path)}, {options})"


def check(db, files, table, settings):
    """Compares the files of a table with its source: types, number and order of the rows, and all values."""
    names = [row[0] for row in db.execute(f"DESCRIBE {table}").fetchall()]
    db.execute("DROP TABLE IF EXISTS found")
    for path, rows in files:
        select = reading(path, settings, names)
        exists = db.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'found'").fetchone()[0]
        db.execute(f"INSERT INTO found {select}" if exists else f"CREATE TABLE found AS {select}")
        (count,) = db.execute(f"SELECT count(*) FROM ({select})").fetchone()
        assert count == rows, (path, count, rows)
    kinds = {name: kind for name, kind, *_ in db.execute("DESCRIBE found").fetchall()}
    source_kinds = {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {table}").fetchall()}
    assert kinds == source_kinds, (settings, kinds, source_kinds)
    counted = [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ["found", table]]
    assert counted[0] == counted[1], (settings, counted)
    for name in names:
        # The text of a floating-point number tells -0 from 0.
        as_text = "::VARCHAR" if source_kinds[name] == "DOUBLE" else ""
        source = f"s.{name}{as_text}"
        if settings.get("formula_guard") and source_kinds[name] == "VARCHAR":
            starts = "'=', '+', '-', '@', chr(9), chr(13)"
            source = f"CASE WHEN left({source}, 1) IN ({starts}) THEN chr(39) || {source} ELSE {source} END"
        differs = f"{source} IS DISTINCT FROM f.{name}{as_text}"
        pairs = f"SELECT s.id, s.{name}, f.{name} FROM {table} s POSITIONAL JOIN found f WHERE {differs}"
        different = db.execute(f"SELECT id, {name}::VARCHAR, {name}_1::VARCHAR FROM ({pairs}) LIMIT 3").fetchall()
        assert not different, (settings, table, name, different)
    return counted[0]


def check_empty(path, settings):
    """Checks the bytes of a file without rows: CSV has its header, JSON Lines has nothing."""
    opened = gzip.open if settings["compression"] == "gzip" else open
    with opened(path, "rb") as file:
        content = file.read().decode()
    if settings["file_format"] == "jsonl":
        assert content == "", content
        return
    names = [f'"{name}"' if settings.get("quoting") == "all" else name for name, *_ in FIELDS]
    ending = "\n" if settings.get("line_ending") == "lf" else "\r\n"
    header = DELIMITERS[settings.get("delimiter", "comma")].join(names) + ending
    assert content == ("\ufeff" if settings.get("byte_order_mark") else "") + header, content


def check_hashes(outflow, db):
    """Compares the hashes of a transform with those of DuckDB."""
    field = lambda name, transform, **more: trailers.export_pb.PayloadField(field=name, transform=transform, **more)
    plain, hashed = trailers.export_pb.PayloadField.TRANSFORM_NONE, trailers.export_pb.PayloadField.TRANSFORM_SHA256
    fields = [field("id", plain), field("text", hashed, output_name="hash")]
    payload = trailers.export_pb.Payload(tables=[trailers.export_pb.PayloadTable(table="everything", fields=fields)])
    export = trailers.export_pb.Export(display_name="Hashes", connection=outflow.connection, payload=payload)
    export.destination_settings.update({"folder": "hashes", "file_format": "parquet"})
    request = trailers.exports_pb.CreateExportRequest(parent=PARENT, export=export)
    name = outflow.exports.CreateExport(request, **outflow.caller).export.name
    run = outflow.exports.RunExport(trailers.exports_pb.RunExportRequest(name=name), **outflow.caller).run.name
    (((path, _),),) = outflow.result(run, "hashes").values()
    pairs = f"everything s JOIN read_parquet({quoted(path)}) f USING (id)"
    equal = f"SELECT count(*) FROM {pairs} WHERE sha256(s.text) IS NOT DISTINCT FROM f.hash"
    assert db.execute(equal).fetchone() == (ROWS,)


def read_back(server, db):
    """Delivers every table in every format, and reads the files."""
    with grpc.insecure_channel(server.address) as channel:
        outflow = Outflow(server, channel)
        started = []
        for number, settings in enumerate(FORMATS):
            split = {**settings, "max_rows_per_file": ROWS_PER_FILE}
            wanted = [(["everything"], settings), (["nothing"], settings), (["everything", "nothing", "declared"], split)]
            for index, (tables, chosen) in enumerate(wanted):
                folder = f"f{number}-{index}"
                started.append((outflow.start(folder, tables, chosen), folder, tables, chosen))
        files = rows = 0
        for run, folder, tables, settings in started:
            found = outflow.result(run, folder)
            assert list(found) == tables, (found, tables)
            for table in tables:
                rows += check(db, found[table], table, settings)
                files += len(found[table])
            if tables == ["nothing"] and settings.get("compression") in ("none", "gzip"):
                check_empty(found["nothing"][0][0], settings)
        check_hashes(outflow, db)
    print(f"gate READERS: {files} files in {len(FORMATS)} formats, {rows} rows equal their source in DuckDB {duckdb.__version__}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="outflow-readers-") as location:
        db = duckdb.connect()
        db.execute("SET TimeZone = 'UTC'")
        write_datasets(db, pathlib.Path(location) / "acme")
        servers.ENVIRONMENT["OUTFLOW_DATASET_LOCATION"] = location
        with servers.serving() as server:
            read_back(server, db)
