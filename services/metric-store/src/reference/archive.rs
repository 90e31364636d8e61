//! Expired files of a cluster as one Parquet file (spec metric-store.md 14.1): one row a sample, one row group a host.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cc_runtime::files::{self, AtomicFile};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::cleanup::Expired;
use super::{Damage, Kind, Series, bin, json, read_file};

const SCHEMA: &str = "message ParquetMetricRow {
    required binary cluster (STRING);
    required binary hostname (STRING);
    required binary metric (STRING);
    required binary scope (STRING);
    required binary scope_id (STRING);
    required int64 timestamp (INTEGER(64,true));
    required int64 frequency (INTEGER(64,true));
    required float value;
}";

const TEXTS: [&str; 5] = ["cluster", "hostname", "metric", "scope", "scope_id"];

/// Rows that are handed to a column at once.
const ROWS_AT_ONCE: usize = 8192;

/// Row groups of one file are numbered with 16 bits.
const HOSTS_MAX: usize = 32_767;

/// Why no file was made; what was to go into it stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// A source cannot be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// The checkpoint file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error(transparent)]
    File(#[from] files::Error),
    /// It cannot be written.
    #[error("failed to write Parquet: {0}")]
    Parquet(#[from] ParquetError),
    /// The name cannot be looked up.
    #[error("failed to look up {}: {source}", path.display())]
    Look {
        /// The Parquet file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What was written does not read back.
    #[error("{} does not read back: {found} rows instead of {written}", path.display())]
    Verify {
        /// The Parquet file, which was removed.
        path: PathBuf,
        /// Rows written.
        written: i64,
        /// Rows found.
        found: i64,
    },
}

/// One series of one checkpoint file.
#[derive(Debug)]
struct Part {
    /// Component and part of it, to sort by.
    place: (String, String),
    metric: String,
    interval: i64,
    start: i64,
    values: Vec<f32>,
}

/// Writes the samples of `files`, sorted by host and time, into `<directory>/<cluster>/<time>.parquet`, or the next free name. Returns the
/// files that are in it now, which may be deleted; damaged ones are told in `problems`.
pub(crate) fn write<'a>(
    directory: &Path,
    cluster: &str,
    files: &'a [Expired],
    time: i64,
    problems: &mut Vec<String>,
) -> Result<Vec<&'a Expired>, ArchiveError> {
    let directory = directory.join(cluster);
    files::create_directory(&directory)?;
    let path = free_name(&directory, time)?;
    let mut target = AtomicFile::create(&path)?;
    let mut done = Vec::new();
    let mut written = 0_i64;
    let mut writer = SerializedFileWriter::new(
        &mut target,
        Arc::new(parse_message_type(SCHEMA)?),
        Arc::new(properties()?),
    )?;
    for of_host in files.chunk_by(|a, b| a.host == b.host).take(HOSTS_MAX) {
        let mut parts = Vec::new();
        for file in of_host {
            let bytes = read_file(&file.path)
                .map_err(|source| ArchiveError::Read { path: file.path.clone(), source })?;
            match content(file.kind, &bytes) {
                Ok(content) => {
                    parts.extend(content);
                    done.push(file);
                }
                Err(damage) => problems.push(format!("{} stays: {damage}", file.path.display())),
            }
        }
        let Some(host) = of_host.first() else { continue };
        let rows: usize = parts.iter().map(|part| part.samples().count()).sum();
        if rows > 0 {
            let mut group = writer.next_row_group()?;
            write_host(&mut group, cluster, &host.host, &parts)?;
            group.close()?;
            written += i64::try_from(rows).unwrap_or(i64::MAX);
        }
    }
    writer.close()?;
    if written == 0 {
        // Nothing but gaps: no file.
        return Ok(done);
    }
    target.commit()?;
    verify(path, written)?;
    Ok(done)
}

fn free_name(directory: &Path, time: i64) -> Result<PathBuf, ArchiveError> {
    let mut number = time;
    loop {
        let path = directory.join(format!("{number}.parquet"));
        match path.try_exists() {
            Ok(false) => return Ok(path),
            Ok(true) => number += 1,
            Err(source) => return Err(ArchiveError::Look { path, source }),
        }
    }
}

fn properties() -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::Page);
    for name in TEXTS {
        builder = builder.set_column_encoding(ColumnPath::from(name), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    Ok(builder.build())
}

fn verify(path: PathBuf, written: i64) -> Result<(), ArchiveError> {
    let look = |source| ArchiveError::Look { path: path.clone(), source };
    let reader = SerializedFileReader::new(File::open(&path).map_err(look)?);
    let found = reader.map_or(0, |reader| reader.metadata().file_metadata().num_rows());
    if found == written {
        return Ok(());
    }
    // If it cannot be removed, it is replaced by none: names are used once.
    let _removed = std::fs::remove_file(&path);
    Err(ArchiveError::Verify { path, written, found })
}

/// The series of a checkpoint file: the host's own by name, then those of its components.
fn content(kind: Kind, bytes: &[u8]) -> Result<Vec<Part>, Damage> {
    let mut parts = Vec::new();
    let mut take = |series: Series<'_>, values: &[f64]| {
        let Series { component, sub_component, metric, interval, start } = series;
        #[expect(clippy::cast_possible_truncation, reason = "the column has no more")]
        let values = values.iter().map(|&value| value as f32).collect();
        let place = (component.to_owned(), sub_component.to_owned());
        parts.push(Part { place, metric: metric.to_owned(), interval, start, values });
    };
    match kind {
        Kind::Bin => bin::read(bytes, &mut take)?,
        Kind::Json => json::read(bytes, &mut take)?,
    };
    parts.sort_by(|a, b| (&a.place, &a.metric).cmp(&(&b.place, &b.metric)));
    Ok(parts)
}

impl Part {
    /// Times and values.
    fn samples(&self) -> impl Iterator<Item = (i64, f32)> {
        let (start, interval) = (self.start, self.interval);
        let times = (0_i64..).map(move |number| start.wrapping_add(number.wrapping_mul(interval)));
        times.zip(self.values.iter().copied()).filter(|(_, value)| value.is_finite())
    }

    /// Scope and the id in it.
    fn scope(&self) -> (&str, &str) {
        let (component, part) = &self.place;
        if component.is_empty() {
            ("node", "")
        } else {
            scope_of(if part.is_empty() { component } else { part })
        }
    }
}

/// What a component's name stands for: `socket1` → socket, 1. Other names are scopes by themselves.
fn scope_of(name: &str) -> (&str, &str) {
    let scopes = [
        ("socket", "socket"),
        ("memoryDomain", "memoryDomain"),
        ("core", "core"),
        ("hwthread", "hwthread"),
        ("cpu", "hwthread"),
        ("accelerator", "accelerator"),
    ];
    let found = scopes.into_iter().find_map(|(prefix, scope)| {
        let id =
            name.strip_prefix(prefix).filter(|id| id.starts_with(|first: char| first.is_ascii_digit()))?;
        Some((scope, id))
    });
    found.unwrap_or((name, ""))
}

fn write_host<W: io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    cluster: &str,
    host: &str,
    parts: &[Part],
) -> Result<(), ParquetError> {
    let text = |name: &str| ByteArray::from(name.as_bytes().to_vec());
    let (cluster, host) = (text(cluster), text(host));
    let mut number = 0;
    while let Some(mut column) = group.next_column()? {
        let rows = || parts.iter().flat_map(|part| part.samples().map(move |sample| (part, sample)));
        match column.untyped() {
            ColumnWriter::ByteArrayColumnWriter(writer) => {
                let of_part = |part: &Part| match number {
                    0 => cluster.clone(),
                    1 => host.clone(),
                    2 => text(&part.metric),
                    3 => text(part.scope().0),
                    _ => text(part.scope().1),
                };
                // The text of a part is made once and shared by its rows.
                let texts =
                    parts.iter().flat_map(|part| std::iter::repeat_n(of_part(part), part.samples().count()));
                in_pieces(texts, |piece| writer.write_batch(piece, None, None))?;
            }
            ColumnWriter::Int64ColumnWriter(writer) => {
                let numbers = rows().map(|(part, (time, _))| if number == 5 { time } else { part.interval });
                in_pieces(numbers, |piece| writer.write_batch(piece, None, None))?;
            }
            ColumnWriter::FloatColumnWriter(writer) => {
                let values = rows().map(|(_, (_, value))| value);
                in_pieces(values, |piece| writer.write_batch(piece, None, None))?;
            }
            _ => return Err(ParquetError::General("a column of another type".to_owned())),
        }
        column.close()?;
        number += 1;
    }
    Ok(())
}

fn in_pieces<T>(
    rows: impl Iterator<Item = T>,
    mut write: impl FnMut(&[T]) -> Result<usize, ParquetError>,
) -> Result<(), ParquetError> {
    let mut rows = rows.peekable();
    let mut piece = Vec::with_capacity(ROWS_AT_ONCE);
    while rows.peek().is_some() {
        piece.clear();
        piece.extend(rows.by_ref().take(ROWS_AT_ONCE));
        write(&piece)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use parquet::record::RowAccessor as _;

    use super::super::Window;
    use super::*;

    fn file(directory: &Path, host: &str, from: i64, bytes: &[u8]) -> Expired {
        let path = directory.join(format!("{host}-{from}.bin"));
        fs::write(&path, bytes).unwrap();
        Expired { host: host.to_owned(), path, kind: Kind::Bin, number: from }
    }

    fn snapshot(from: i64, load: &[f64]) -> Vec<u8> {
        let mut writer = bin::Writer::new(Vec::new(), Window { from, to: from + 600 });
        writer.metrics(2);
        writer.metric("power", 30, from, &[200.0]);
        writer.metric("load", 60, from, load);
        writer.children(2);
        writer.child("socket0");
        writer.metrics(1);
        writer.metric("mem_bw", 60, from, &[7.5]);
        writer.children(1);
        writer.child("deviceeth0");
        writer.metrics(1);
        writer.metric("x", 60, from, &[8.0]);
        writer.children(0);
        writer.child("cpu12");
        writer.metrics(1);
        writer.metric("ipc", 60, from, &[0.5]);
        writer.children(0);
        writer.finish(1)
    }

    #[test]
    fn what_is_archived_reads_back_row_by_row() {
        let root = tempfile::tempdir().unwrap();
        let long: Vec<f64> =
            (0..20_000).map(|step| if step % 3 == 0 { f64::NAN } else { f64::from(step) }).collect();
        let files = [
            file(root.path(), "a", 1000, &snapshot(1000, &[1.0, f64::NAN, 3.0])),
            file(root.path(), "a", 1600, &snapshot(1600, &[f64::NAN])),
            file(root.path(), "b", 1000, &snapshot(1000, &long)),
            file(root.path(), "c", 1000, b"damaged"),
        ];
        let target = root.path().join("parquet");
        let mut problems = Vec::new();
        let done = write(&target, "fritz", &files, 5000, &mut problems).unwrap();
        assert_eq!((done.len(), problems.len()), (3, 1), "{problems:?}");
        let reader =
            SerializedFileReader::new(File::open(target.join("fritz/5000.parquet")).unwrap()).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        assert_eq!(reader.metadata().file_metadata().schema().name(), "ParquetMetricRow");
        let rows: Vec<String> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| {
                let row = row.unwrap();
                let text = |column| row.get_string(column).unwrap().clone();
                let texts: Vec<String> = (0..5).map(text).collect();
                let numbers = (row.get_long(5).unwrap(), row.get_long(6).unwrap(), row.get_float(7).unwrap());
                format!("{} {numbers:?}", texts.join(","))
            })
            .collect();
        let expected = [
            "fritz,a,load,node, (1000, 60, 1.0)",
            "fritz,a,load,node, (1120, 60, 3.0)",
            "fritz,a,power,node, (1000, 30, 200.0)",
            "fritz,a,ipc,hwthread,12 (1000, 60, 0.5)",
            "fritz,a,mem_bw,socket,0 (1000, 60, 7.5)",
            "fritz,a,x,deviceeth0, (1000, 60, 8.0)",
            "fritz,a,power,node, (1600, 30, 200.0)",
        ];
        assert_eq!(rows[..7], expected.map(str::to_owned));
        let long_rows = rows.iter().filter(|row| row.starts_with("fritz,b,load,")).count();
        assert_eq!(long_rows, long.iter().filter(|value| !value.is_nan()).count());
        // A name is never used twice.
        write(&target, "fritz", &files[..1], 5000, &mut problems).unwrap();
        assert!(target.join("fritz/5001.parquet").is_file());
    }

    #[test]
    fn scopes_are_told_from_names() {
        for (name, scope) in [
            ("socket1", ("socket", "1")),
            ("memoryDomain7", ("memoryDomain", "7")),
            ("cpu3", ("hwthread", "3")),
            ("accelerator00000000:49:00.0", ("accelerator", "00000000:49:00.0")),
            ("corefile", ("corefile", "")),
            ("eth0", ("eth0", "")),
        ] {
            assert_eq!(scope_of(name), scope);
        }
    }
}
