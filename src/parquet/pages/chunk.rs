//! One column chunk as it is written: pages behind each other, and what the footer will say of them.

use std::io;

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

use super::even::EvenPacker;
use super::{LENGTH_BYTES, place, push_text};

/// Compresses pages, all with one context: making one costs more than compressing a small page.
pub(in crate::parquet) enum Packer {
    /// Pages stay as they are.
    None,
    /// Zstandard.
    Zstd(Box<Zstd>),
}

/// Compresses pages by Zstandard.
pub(in crate::parquet) struct Zstd {
    level: ZstdLevel,
    any: Compressor<'static>,
    even: EvenPacker,
    /// A page before it is compressed.
    page: Vec<u8>,
}

impl Packer {
    /// Returns a packer for Zstandard of `level`.
    ///
    /// # Errors
    /// When there is no memory for its context.
    pub(in crate::parquet) fn zstd(level: ZstdLevel) -> io::Result<Self> {
        let any = Compressor::new(level.compression_level())?;
        Ok(Self::Zstd(Box::new(Zstd { level, any, even: EvenPacker::new(), page: Vec::new() })))
    }

    /// Returns a packer for `codec`, if it is one of these.
    ///
    /// # Errors
    /// When there is no memory for its context.
    pub(in crate::parquet) fn of(codec: Compression) -> io::Result<Option<Self>> {
        if let Compression::ZSTD(level) = codec {
            return Self::zstd(level).map(Some);
        }
        Ok((codec == Compression::UNCOMPRESSED).then_some(Self::None))
    }

    pub(super) const fn codec(&self) -> Compression {
        match self {
            Self::None => Compression::UNCOMPRESSED,
            Self::Zstd(zstd) => Compression::ZSTD(zstd.level),
        }
    }

    fn pack(&mut self, body: Body<'_>) -> Result<Bytes, ParquetError> {
        match (self, body) {
            (Self::None, Body::Bytes(bytes)) => Ok(Bytes::copy_from_slice(bytes)),
            (Self::None, Body::Texts { levels, texts }) => {
                let mut page = Vec::with_capacity(body.len());
                put_texts(levels, texts, &mut page);
                Ok(page.into())
            }
            (Self::Zstd(zstd), Body::Bytes(bytes)) => Ok(zstd.any.compress(bytes)?.into()),
            (Self::Zstd(zstd), Body::Texts { levels, texts }) => {
                let Zstd { any, even, page, .. } = &mut **zstd;
                if let Some(packed) = even.pack(levels, texts) {
                    return Ok(packed.into());
                }
                page.clear();
                put_texts(levels, texts, page);
                Ok(any.compress(page)?.into())
            }
        }
    }
}

/// A page before it is compressed.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    /// All of its bytes.
    Bytes(&'a [u8]),
    /// What comes before the texts, and these, which stand behind each other, each behind its length.
    Texts { levels: &'a [u8], texts: &'a [&'a [u8]] },
}

impl Body<'_> {
    /// Returns its size in bytes.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Texts { levels, texts } => {
                levels.len() + texts.iter().map(|text| LENGTH_BYTES + text.len()).sum::<usize>()
            }
        }
    }
}

fn put_texts(levels: &[u8], texts: &[&[u8]], page: &mut Vec<u8>) {
    page.extend_from_slice(levels);
    texts.iter().for_each(|text| push_text(text, page));
}

/// A chunk that is ready to be put into a row group.
#[cfg_attr(test, derive(Debug))]
pub(in crate::parquet) struct Chunk {
    bytes: Bytes,
    close: ColumnCloseResult,
    decoded_bytes: usize,
}

impl Chunk {
    /// Returns the size of the values in memory, as they are read back.
    pub(in crate::parquet) const fn decoded_bytes(&self) -> usize {
        self.decoded_bytes
    }

    /// Puts the chunk into a row group as its next column; without its page index if `indexed` is false.
    ///
    /// # Errors
    /// When it is not the column that comes next, or the file cannot be written.
    pub(in crate::parquet) fn append_to<W: io::Write + Send>(
        mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        indexed: bool,
    ) -> Result<(), ParquetError> {
        if !indexed {
            (self.close.column_index, self.close.offset_index) = (None, None);
        }
        group.append_column(&self.bytes, self.close)
    }
}

/// A chunk that is being written.
pub(super) struct ChunkWriter {
    descr: ColumnDescPtr,
    encoding: Encoding,
    codec: Compression,
    sink: TrackedWrite<Vec<u8>>,
    /// The size of all pages with their headers, before compression.
    uncompressed: usize,
    has_dictionary: bool,
    /// Where the first data page begins.
    data_start: Option<u64>,
    pages: i32,
    rows: usize,
    nulls: usize,
    decoded_bytes: usize,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
}

impl ChunkWriter {
    /// Begins a chunk whose values are in `encoding`.
    pub(super) fn new(descr: &ColumnDescPtr, encoding: Encoding) -> Self {
        Self {
            descr: ColumnDescPtr::clone(descr),
            encoding,
            codec: Compression::UNCOMPRESSED,
            sink: TrackedWrite::new(Vec::new()),
            uncompressed: 0,
            has_dictionary: false,
            data_start: None,
            pages: 0,
            rows: 0,
            nulls: 0,
            decoded_bytes: 0,
            column_index: ColumnIndexBuilder::new(descr.physical_type()),
            offset_index: OffsetIndexBuilder::new(),
        }
    }

    fn write(&mut self, page: Page, bytes: usize, packer: &Packer) -> Result<PageWriteSpec, ParquetError> {
        self.codec = packer.codec();
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, bytes))?;
        self.uncompressed += spec.uncompressed_size;
        Ok(spec)
    }

    /// Counts what the values take in memory, as they are read back.
    pub(super) const fn count(&mut self, decoded_bytes: usize) {
        self.decoded_bytes += decoded_bytes;
    }

    /// Writes the dictionary: `count` texts in ascending order.
    pub(super) fn dictionary(&mut self, body: Body<'_>, count: usize, packer: &mut Packer) -> Result<(), ParquetError> {
        let (buf, num_values) = (packer.pack(body)?, place(count));
        let page = Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: true };
        self.has_dictionary = true;
        self.write(page, body.len(), packer).map(|_| ())
    }

    /// Writes a page of `rows` rows, `nulls` of them null, whose values lie in `bounds`.
    pub(super) fn page(
        &mut self,
        body: Body<'_>,
        rows: usize,
        nulls: usize,
        bounds: Option<(Vec<u8>, Vec<u8>)>,
        packer: &mut Packer,
    ) -> Result<(), ParquetError> {
        let page = Page::DataPage {
            buf: packer.pack(body)?,
            num_values: place(rows),
            encoding: self.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = self.write(page, body.len(), packer)?;
        self.data_start.get_or_insert(spec.offset);
        self.pages += 1;
        self.rows += rows;
        self.nulls += nulls;
        let null_page = bounds.is_none();
        let (min, max) = bounds.unwrap_or_default();
        self.column_index.append(null_page, min, max, i64::try_from(nulls)?, None);
        self.offset_index.append_row_count(i64::try_from(rows)?);
        self.offset_index.append_offset_and_size(i64::try_from(spec.offset)?, i32::try_from(spec.compressed_size)?);
        Ok(())
    }

    /// Ends the chunk; `statistics` are told the number of nulls, `order` is that of the bounds of its pages.
    pub(super) fn finish(
        mut self,
        statistics: impl FnOnce(u64) -> Statistics,
        order: BoundaryOrder,
    ) -> Result<Chunk, ParquetError> {
        self.column_index.set_boundary_order(order);
        let bytes = Bytes::from(self.sink.into_inner()?);
        let (mut encodings, mut stats) = (vec![self.encoding, Encoding::RLE], Vec::new());
        if self.has_dictionary {
            encodings.push(Encoding::PLAIN);
            stats.push(PageEncodingStats { page_type: PageType::DICTIONARY_PAGE, encoding: Encoding::PLAIN, count: 1 });
        }
        stats.push(PageEncodingStats { page_type: PageType::DATA_PAGE, encoding: self.encoding, count: self.pages });
        let metadata = ColumnChunkMetaData::builder(self.descr)
            .set_compression(self.codec)
            .set_encodings(encodings)
            .set_page_encoding_stats(stats)
            .set_total_compressed_size(i64::try_from(bytes.len())?)
            .set_total_uncompressed_size(i64::try_from(self.uncompressed)?)
            .set_num_values(i64::try_from(self.rows)?)
            .set_data_page_offset(i64::try_from(self.data_start.unwrap_or(0))?)
            .set_dictionary_page_offset(self.has_dictionary.then_some(0))
            .set_statistics(statistics(u64::try_from(self.nulls)?))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: u64::try_from(bytes.len())?,
            rows_written: u64::try_from(self.rows)?,
            metadata,
            bloom_filter: None,
            column_index: Some(self.column_index.build()?),
            offset_index: Some(self.offset_index.build()),
        };
        Ok(Chunk { bytes, close, decoded_bytes: self.decoded_bytes })
    }
}
