//! Texts that stand in dictionaries in the entries, and stay keys until they are encoded.

use arrow::compute::cast;

use super::few_rows::{compare, metadata};
use super::*;

/// How the texts of an entry stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Keys,
    Texts,
}

/// An entry of rows with these columns of texts, a third of them of path `/b` and the others of `/a`.
fn entry_with(number: u64, first: i64, columns: &[(&str, As, Vec<Option<String>>)], group_rows: usize) -> EntryReader {
    let count = i64::try_from(columns[0].2.len()).expect("few rows");
    let path = |offset: i64| Some(if offset % 3 == 0 { "/b" } else { "/a" });
    let rows: Vec<Row<'_>> = (first..first + count).map(|offset| (now(), "22", path(offset), offset)).collect();
    let mut content = content(&rows);
    let columns = columns.iter().map(|(name, stand, texts)| {
        let texts: ArrayRef = Arc::new(texts.iter().map(Option::as_deref).collect::<StringArray>());
        let keys = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
        (*name, if *stand == As::Keys { cast(&texts, &keys).expect("keys") } else { texts })
    });
    add_columns(&mut content, columns.collect());
    let options =
        EntryOptions { group_rows, piece_rows: usize::MAX, piece_bytes: usize::MAX, ..EntryOptions::default() };
    open(write_entry(&state(number), &content, &options).expect("an entry"))
}

fn user(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

const NAMES: [&str; 5] = ["repeated", "many", "mixed", "sparse", "newer"];

/// Three entries of several row groups. As the arguments say, texts are keys in the first two and in the third.
fn three(first: As, last: As) -> Vec<EntryReader> {
    let texts = |rows: std::ops::Range<usize>, of: &dyn Fn(usize) -> Option<String>| rows.map(of).collect::<Vec<_>>();
    let repeated =
        |i: usize| (i % 7 != 3).then(|| ["ä", "", "long enough to be cut ".repeat(9).as_str()][i % 3].to_owned());
    // More texts than `/b` has rows of a row group.
    let many = |i: usize| (i % 11 != 5).then(|| format!("one of twelve: {}", i * 5 % 12));
    let mixed = |i: usize| (i % 5 != 1).then(|| format!("m{}", i % 4));
    let sparse = |i: usize| (i < 20).then(|| format!("only here {}", i % 2));
    let newer = |i: usize| Some(format!("new {}", i % 6));
    let entry = |number, stand, stand_of_mixed, rows: std::ops::Range<usize>| {
        let mut columns = vec![
            ("repeated", stand, texts(rows.clone(), &repeated)),
            ("many", stand, texts(rows.clone(), &many)),
            ("mixed", stand_of_mixed, texts(rows.clone(), &mixed)),
            ("sparse", stand, texts(rows.clone(), &sparse)),
        ];
        if number > 1 {
            columns.push(("newer", stand, texts(rows.clone(), &newer)));
        }
        entry_with(number, i64::try_from(rows.start).expect("small"), &columns, 25)
    };
    vec![entry(1, first, first, 0..60), entry(2, first, last, 60..130), entry(4, first, last, 130..200)]
}

fn three_assembled(codec: &str, entries: Vec<EntryReader>) -> Assembly {
    let mut close = close(now(), &[1, 2, 4]);
    close.recipe.compression = codec.to_owned();
    let assembled = Assembly::open(&close, entries, &user(&NAMES), &folder, &AssemblyOptions::default());
    assembled.expect("entries of the close")
}

fn bytes_of(assembly: &mut Assembly) -> Vec<Bytes> {
    write_all(assembly).into_iter().map(|(_, _, bytes)| bytes).collect()
}

#[test]
fn files_of_keys_say_what_parquets_own_writer_says() {
    // It writes the files of a codec that the pages do not know.
    let reference = bytes_of(&mut three_assembled("snappy", three(As::Keys, As::Texts)));
    let mut assembly = three_assembled("zstd:1", three(As::Keys, As::Texts));
    assert_eq!(assembly.by_keys, [true, true]);
    let ours = bytes_of(&mut assembly);
    assert_eq!(ours.len(), 2);
    for (ours, reference) in ours.iter().zip(&reference) {
        assert_eq!(read(ours), read(reference));
        compare(&metadata(ours), &metadata(reference));
    }
    let rows = read(&ours[1]);
    let all = |column| texts(&rows, column).into_iter().map(|text| text.unwrap_or_else(|| "null".to_owned()));
    // Every third row, of the entries 0..60, 60..130 and 130..200.
    assert_eq!(all("mixed").take(5).collect::<Vec<_>>(), ["m0", "m3", "null", "m1", "m0"]);
    assert_eq!(all("sparse").skip(5).take(3).collect::<Vec<_>>(), ["only here 1", "only here 0", "null"]);
    assert_eq!(all("newer").skip(19).take(3).collect::<Vec<_>>(), ["null", "new 0", "new 3"]);
}

#[test]
fn bytes_are_the_same_however_texts_are_held() {
    let expected = bytes_of(&mut three_assembled("zstd:1", three(As::Texts, As::Texts)));
    for last in [As::Keys, As::Texts] {
        let mut assembly = three_assembled("zstd:1", three(As::Keys, last));
        assert_eq!(bytes_of(&mut assembly), expected);
        // Read as keys, and written out before they wait.
        let mut assembly = three_assembled("zstd:1", three(As::Keys, last));
        assembly.by_keys.fill(false);
        assert_eq!(bytes_of(&mut assembly), expected);
        // Read in another order.
        let mut assembly = three_assembled("zstd:1", three(As::Keys, last));
        assembly.next_file();
        assembly.next_file();
        let mut bytes = Vec::new();
        assert!(matches!(assembly.write_file(Full(100)), Err(AssembleError::Write { .. })));
        assembly.write_file(&mut bytes).expect("a file");
        assert_eq!(bytes, expected[1]);
    }
}

#[test]
fn a_file_of_many_bytes_has_the_same_rows() {
    let big = |i: usize| if i.is_multiple_of(3) { format!("{i}") } else { format!("{i}{}", "x".repeat(1_000_000)) };
    let repeated = |i: usize| (!i.is_multiple_of(4)).then(|| format!("r{}", i % 4));
    let columns = [
        ("big", As::Texts, (0..30).map(|i| Some(big(i))).collect::<Vec<_>>()),
        ("repeated", As::Keys, (0..30).map(repeated).collect()),
    ];
    let entries = vec![entry_with(1, 0, &columns, 3)];
    let (close, user, options) = (close(now(), &[1]), user(&["big", "repeated"]), AssemblyOptions::default());
    let mut assembly = Assembly::open(&close, entries, &user, &folder, &options).expect("an entry of the close");
    assert_eq!(assembly.by_keys, [false, false], "most of it is in a file that is too large");
    // Read as keys all the same, for the other file.
    assembly.by_keys[1] = true;
    assembly.cursors[0].read_keys();
    let files = bytes_of(&mut assembly);
    for (file, is_it) in files.iter().zip([|i: &usize| !i.is_multiple_of(3), |i: &usize| i.is_multiple_of(3)]) {
        let rows = read(file);
        let expected = |of: &dyn Fn(usize) -> Option<String>| (0..30).filter(is_it).map(of).collect::<Vec<_>>();
        assert_eq!(texts(&rows, "big"), expected(&|i| Some(big(i))));
        assert_eq!(texts(&rows, "repeated"), expected(&repeated));
    }
}

#[test]
fn texts_that_are_keys_count_as_such() {
    let long = |i: usize| Some(format!("{}{}", i % 5, "long ".repeat(200)));
    let columns = [("long", As::Keys, (0..30_000).map(long).collect::<Vec<_>>())];
    let entries = vec![entry_with(1, 0, &columns, 32_768)];
    let (close, user, options) = (close(now(), &[1]), user(&["long"]), AssemblyOptions::default());
    let mut assembly = Assembly::open(&close, entries, &user, &folder, &options).expect("an entry of the close");
    assert!(decoded_bytes(&assembly.files[0], &assembly.cursors) > FEW_BYTES);
    assert_eq!(assembly.by_keys, [true, true]);
    let files = write_all(&mut assembly);
    let (_, written, bytes) = &files[0];
    assert_eq!((written.rows, written.row_groups), (20_000, 1));
    assert_eq!(texts(&read(bytes), "long")[19_999], long(29_999));
}
