use super::*;

fn one(source: &str) -> Vec<(u16, String, String, String)> {
    let (found, findings) = citations("src/a/b.rs", source);
    assert_eq!(findings, Vec::<String>::new());
    found.into_iter().map(|c| (c.rfc, c.section, c.text, c.place)).collect()
}

fn row(rfc: u16, section: &str, text: &str, place: &str) -> (u16, String, String, String) {
    (rfc, section.into(), text.into(), place.into())
}

#[test]
fn a_citation_names_the_function_below_or_around_it() {
    let source = "//= RFC 3261 §9.2: above the item\n/// Doc.\n#[must_use]\npub const fn above() {\n    \
                  if x {\n        //= RFC 3261 §9.1: within\n        y();\n    }\n}\n\n\
                  impl Thing {\n    //= RFC 3550 §A.8: jitter\n    const X: u8 = 1;\n}\n\
                  //= RFC 4028 §10: nowhere\nx!();\n";
    assert_eq!(
        one(source),
        [
            row(3261, "9.2", "above the item", "a/b.rs: above"),
            row(3261, "9.1", "within", "a/b.rs: above"),
            row(3550, "A.8", "jitter", "a/b.rs: X"),
            row(4028, "10", "nowhere", "a/b.rs"),
        ]
    );
}

#[test]
fn arms_and_variants_belong_to_what_is_around_them() {
    let source = "fn step() {\n    match x {\n        A => {\n            b();\n        }\n        \
                  //= RFC 3261 §17.1.1: the arm\n        B => {}\n    }\n}\n\
                  enum Timer {\n    //= RFC 3261 §17: a letter\n    A,\n}\n\
                  impl<T> Display for Name<T> {\n    //= RFC 3261 §7: written so\n    x!();\n\
                  \n    pub(super) fn long<'a>(\n        x: &'a u8,\n    ) -> u8 {\n        \
                  //= RFC 3261 §8: in it\n        y();\n    }\n}\n";
    let places: Vec<String> = one(source).into_iter().map(|row| row.3).collect();
    assert_eq!(places, ["a/b.rs: step", "a/b.rs: Timer", "a/b.rs: Name", "a/b.rs: long"]);
}

#[test]
fn lines_go_on_and_several_sections_share_a_text() {
    let source = "//= RFC 3261 §14.2 and RFC 3311 §5.2, §5.3: one text\n//= on two lines\n\
                  //= RFC 3264 §8: the next\nfn f() {}\n";
    let text = "one text on two lines";
    assert_eq!(
        one(source),
        [
            row(3261, "14.2", text, "a/b.rs: f"),
            row(3311, "5.2", text, "a/b.rs: f"),
            row(3311, "5.3", text, "a/b.rs: f"),
            row(3264, "8", "the next", "a/b.rs: f"),
        ]
    );
}

#[test]
fn tables_figures_and_rfcs_without_numbers_may_be_cited() {
    let source = "//= RFC 4028 §9 table 2: a row\n//= RFC 2782: lowest priority first\n\
                  //= RFC 3261 §17.1.1 figure 5: an arrow\nfn f() {}\n";
    let sections: Vec<(u16, String)> = one(source).into_iter().map(|row| (row.0, row.1)).collect();
    let wanted = [(4028, "9"), (2782, ""), (3261, "17.1.1")];
    assert_eq!(sections, wanted.map(|(rfc, section)| (rfc, section.to_owned())));
}

#[test]
fn malformed_citations_are_found_with_their_line() {
    for bad in [
        "//= RFC 3261 §12.2",
        "//= RFC 3261 §12.2:",
        "//= RFC 3261 §12.2: x",
        "//= RFC 3261 12.2: no sign",
        "//= RFC 3261: no section",
        "//= RFC 3261 §1 chapter 2: no such thing",
        "//= RFC many §1: no number",
        "//= RFC 3261 §1..2: two dots",
        "//= RFC 3261 §1.b: a letter",
        "//= §1.2: no number at all",
        "//= a line that continues nothing",
        "//=",
    ] {
        let (found, findings) = citations("src/a.rs", &format!("fn f() {{}}\n{bad}\n"));
        assert!(found.is_empty(), "{bad}");
        assert_eq!(findings.len(), 1, "{bad}");
        assert!(findings[0].starts_with("src/a.rs:2: "), "{findings:?}");
    }
    let (found, findings) = citations("src/a.rs", "// RFC 3264 §6: plain\n//== x\n/// //= y\n");
    assert!(found.is_empty() && findings.is_empty());
}

#[test]
fn the_page_has_sections_in_order_and_counts() {
    let make = |section: &str, text: &str| Citation {
        rfc: 3261,
        section: section.to_owned(),
        text: text.to_owned(),
        place: "a.rs: f".to_owned(),
    };
    let page = write_page(&[make("10", "a | b"), make("9.10", "c"), make("9.2", "<d>")]);
    assert!(page.contains("| [3261](#rfc-3261) | SIP: Session Initiation Protocol | 3 | 3 |\n"));
    assert!(page.contains("3 demands of 1 RFCs."));
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| §")).collect();
    assert_eq!(
        rows,
        [
            "| §9.2 | &lt;d> | `a.rs: f` |",
            "| §9.10 | c | `a.rs: f` |",
            "| §10 | a \\| b | `a.rs: f` |"
        ]
    );
    assert!(!write_page(&[]).contains("## RFC"));
}

#[test]
fn titles_are_in_order_and_named_once() {
    assert!(TITLES.is_sorted_by(|a, b| a.0 < b.0));
}

#[test]
fn a_tree_is_read_whole_and_a_missing_one_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(scan(directory.path()), (Vec::new(), Vec::new()));
    let deep = directory.path().join("src/x/y");
    std::fs::create_dir_all(&deep).unwrap();
    let product = "//= RFC 3261 §8: text\nfn f() {}\n";
    let test = "\n#[cfg(test)]\nmod tests {\n    //= RFC 3261 §9\n}\n";
    std::fs::write(deep.join("z.rs"), format!("{product}{test}")).unwrap();
    std::fs::write(deep.join("tests.rs"), "//= RFC 3261 §9\n").unwrap();
    std::fs::write(deep.join("z.txt"), "//= RFC 3261 §8\n").unwrap();
    let (found, findings) = scan(directory.path());
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].place, "x/y/z.rs: f");
}
