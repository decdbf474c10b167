//! How published files are compressed, as `--compression` names it.

use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use thiserror::Error;

/// A text that names no codec.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown compression `{text}`: use zstd:1 (to zstd:22), snappy, lz4, gzip (or gzip:0 to gzip:9) or none")]
pub struct CodecError {
    /// The text.
    pub text: String,
}

/// Returns the codec that `text` names: `zstd`, `zstd:N`, `snappy`, `lz4` (Parquet's `LZ4_RAW`), `gzip`, `gzip:N` or `none`.
///
/// # Errors
/// When the text names no codec, or a level that the codec has not.
pub fn parse_codec(text: &str) -> Result<Compression, CodecError> {
    let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
    let codec = match (name, level) {
        ("zstd", None) => Some(Compression::ZSTD(ZstdLevel::default())),
        ("zstd", Some(level)) => level.parse().ok().and_then(|n| ZstdLevel::try_new(n).ok()).map(Compression::ZSTD),
        ("gzip", None) => Some(Compression::GZIP(GzipLevel::default())),
        ("gzip", Some(level)) => level.parse().ok().and_then(|n| GzipLevel::try_new(n).ok()).map(Compression::GZIP),
        ("snappy", None) => Some(Compression::SNAPPY),
        ("lz4", None) => Some(Compression::LZ4_RAW),
        ("none", None) => Some(Compression::UNCOMPRESSED),
        _ => None,
    };
    codec.ok_or_else(|| CodecError { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_named_with_or_without_its_level() {
        assert_eq!(parse_codec("zstd"), parse_codec("zstd:1"));
        assert_eq!(parse_codec("zstd:19"), Ok(Compression::ZSTD(ZstdLevel::try_new(19).expect("a level"))));
        assert_eq!(parse_codec("lz4"), Ok(Compression::LZ4_RAW));
        assert_eq!(parse_codec("snappy"), Ok(Compression::SNAPPY));
        assert_eq!(parse_codec("gzip"), Ok(Compression::GZIP(GzipLevel::default())));
        assert_eq!(parse_codec("none"), Ok(Compression::UNCOMPRESSED));
    }

    #[test]
    fn an_unknown_codec_is_refused_with_those_that_there_are() {
        for text in ["", "zstd:23", "zstd:x", "zstd:", "lz4:1", "gzip:10", "brotli", "ZSTD"] {
            let error = parse_codec(text).expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("snappy"), "{error}");
        }
    }
}
