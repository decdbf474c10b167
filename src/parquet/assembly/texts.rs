//! The pieces of a column of texts, put behind each other.
//!
//! Pieces that are keys stay keys: those of a row group share one dictionary, and dictionaries stand behind each other as they are, so
//! that a text may be in there more than once. No text is copied for a row, looked up or compared.
//!
//! Whether the result is keys or texts is no matter of what is written: a text has one place in the dictionary of a file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, NullBufferBuilder, StringArray, StringBuilder, UInt32Array,
    new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, UInt32Type};
use arrow::error::ArrowError;

/// Returns the values of all pieces of a column, which are of one type but for texts that are keys.
pub(super) fn put_together(pieces: &[&dyn Array]) -> Result<ArrayRef, ArrowError> {
    if pieces.iter().all(|piece| keys(*piece).is_none()) {
        return concat(pieces);
    }
    match Dictionaries::of(pieces) {
        Some(dictionaries) => dictionaries.keys(pieces),
        None => write_out(pieces),
    }
}

fn keys(piece: &dyn Array) -> Option<&DictionaryArray<UInt32Type>> {
    piece.as_dictionary_opt()
}

fn rows(pieces: &[&dyn Array]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}

/// The dictionaries of some pieces.
struct Dictionaries<'a> {
    texts: Vec<&'a dyn Array>,
    /// For each piece, where its dictionary begins among all texts.
    starts: Vec<u32>,
}

impl<'a> Dictionaries<'a> {
    /// Returns each dictionary once; `None` if a piece with texts has none, or they are larger than the pieces: to look through them would
    /// cost more than the rows do.
    fn of(pieces: &[&'a dyn Array]) -> Option<Self> {
        let (mut texts, mut starts) = (Vec::new(), Vec::with_capacity(pieces.len()));
        let (mut known, mut count, most) = (HashMap::new(), 0, rows(pieces));
        for piece in pieces {
            if piece.null_count() == piece.len() {
                starts.push(0);
                continue;
            }
            let values = keys(*piece)?.values();
            let of_piece = values.as_string_opt::<i32>()?;
            // All are there at once: what is in the same place is the same.
            let place = (of_piece.value_offsets().as_ptr(), of_piece.value_data().as_ptr(), of_piece.len());
            let start = *known.entry(place).or_insert(count);
            if start == count {
                texts.push(values.as_ref());
                count += values.len();
            }
            if count > most {
                return None;
            }
            starts.push(u32::try_from(start).ok()?);
        }
        Some(Self { texts, starts })
    }

    /// Returns the keys of all pieces in one dictionary.
    fn keys(&self, pieces: &[&dyn Array]) -> Result<ArrayRef, ArrowError> {
        if self.texts.is_empty() {
            return Ok(new_null_array(&DataType::Utf8, rows(pieces)));
        }
        let (mut all, mut nulls) = (Vec::with_capacity(rows(pieces)), NullBufferBuilder::new(rows(pieces)));
        for (piece, start) in pieces.iter().zip(&self.starts) {
            match keys(*piece) {
                // A null has any key.
                Some(piece) => all.extend(piece.keys().values().iter().map(|key| key.wrapping_add(*start))),
                None => all.resize(all.len() + piece.len(), 0),
            }
            match piece.nulls() {
                Some(of_piece) => nulls.append_buffer(of_piece),
                None => nulls.append_n_non_nulls(piece.len()),
            }
        }
        let keys = UInt32Array::try_new(all.into(), nulls.finish())?;
        Ok(Arc::new(DictionaryArray::try_new(keys, concat(&self.texts)?)?))
    }
}

/// Returns the texts of all pieces. (Pieces may have few rows: each costs next to nothing.)
fn write_out(pieces: &[&dyn Array]) -> Result<ArrayRef, ArrowError> {
    let mut bytes = 0;
    for piece in pieces {
        bytes += texts(*piece)?.flatten().map(str::len).sum::<usize>();
    }
    i32::try_from(bytes).map_err(|_| ArrowError::OffsetOverflowError(bytes))?;
    let mut all = StringBuilder::with_capacity(rows(pieces), bytes);
    for piece in pieces {
        texts(*piece)?.for_each(|text| all.append_option(text));
    }
    Ok(Arc::new(all.finish()))
}

fn texts<'a>(piece: &'a dyn Array) -> Result<Box<dyn Iterator<Item = Option<&'a str>> + 'a>, ArrowError> {
    if let Some(keys) = keys(piece).and_then(|keys| keys.downcast_dict::<StringArray>()) {
        return Ok(Box::new(keys.into_iter()));
    }
    match piece.as_string_opt::<i32>() {
        Some(texts) => Ok(Box::new(texts.iter())),
        None => Err(ArrowError::SchemaError("a column of texts has other values".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::cast;

    use super::*;

    fn keyed(keys: &[Option<u32>], texts: &ArrayRef) -> ArrayRef {
        let keys = keys.iter().copied().collect::<UInt32Array>();
        Arc::new(DictionaryArray::try_new(keys, Arc::clone(texts)).expect("keys that are there"))
    }

    fn dictionary(texts: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    fn together(pieces: &[&ArrayRef]) -> ArrayRef {
        put_together(&pieces.iter().map(|piece| piece.as_ref()).collect::<Vec<_>>()).expect("texts")
    }

    fn texts(array: &ArrayRef) -> Vec<Option<String>> {
        let texts = cast(array, &DataType::Utf8).expect("texts");
        texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| (*text != "null").then(|| (*text).to_owned())).collect()
    }

    #[test]
    fn each_dictionary_is_there_once() {
        let (one, two) = (dictionary(&["a", "b"]), dictionary(&["b", "c"]));
        let first = keyed(&[Some(0), None, Some(1), Some(0)], &one);
        let second = keyed(&[Some(1), Some(1)], &two);
        let nothing: ArrayRef = Arc::new(StringArray::new_null(1));
        let all = together(&[&first.slice(0, 3), &second, &nothing, &first.slice(3, 1)]);
        assert_eq!(texts(&all), some(&["a", "null", "b", "c", "c", "null", "a"]));
        assert_eq!(keys(&all).map(|keys| keys.values().len()), Some(4));
    }

    #[test]
    fn dictionaries_that_are_larger_than_the_rows_are_not_looked_through() {
        let large = dictionary(&["a", "b", "c", "d"]);
        let all = |rows| together(&[&keyed(&vec![Some(2); rows], &large), &keyed(&[None], &large)]);
        assert_eq!(all(2).data_type(), &DataType::Utf8);
        assert_eq!(texts(&all(2)), some(&["c", "c", "null"]));
        assert!(keys(&all(4)).is_some());
    }

    #[test]
    fn keys_beside_texts_are_written_out() {
        let plain = dictionary(&["x", "y", "z"]);
        let all = together(&[&keyed(&[Some(0), None], &dictionary(&["a"])), &plain]);
        assert_eq!(all.data_type(), &DataType::Utf8);
        assert_eq!(texts(&all), some(&["a", "null", "x", "y", "z"]));
        assert_eq!(&together(&[&plain]), &plain);
    }

    #[test]
    fn what_has_no_text_needs_no_dictionary() {
        let all = together(&[&keyed(&[None, None], &dictionary(&["a", "b", "c"]))]);
        assert_eq!((all.len(), all.null_count()), (2, 2));
    }
}
