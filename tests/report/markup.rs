//! Holds a page to what is promised of it: well-formed, alone, and without scripts.

/// Elements of HTML that have no end.
const VOID: [&str; 2] = ["meta", "!doctype"];

/// Fails unless every element is ended where it began, no script is in it, and nothing is fetched.
pub fn assert_sound(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(begin) = rest.find('<') {
        // Text between tags, where quotes and ampersands are written out.
        assert_escaped(&rest[..begin], open.last() == Some(&"style"));
        let end = begin + length_of_tag(&rest[begin..]);
        tag(&rest[begin + 1..end - 1], &mut open);
        rest = &rest[end..];
    }
    assert_eq!(open, [""; 0], "elements without an end");
    for forbidden in ["http:", "https:", "src=", "href=", "url(", "@import", "NaN", "javascript:"] {
        assert!(!tags_of(page).any(|tag| tag.contains(forbidden)), "{forbidden} in a tag");
    }
}

fn tag<'a>(tag: &'a str, open: &mut Vec<&'a str>) {
    let name = tag.trim_start_matches('/').split([' ', '/', '>']).next().unwrap_or_default();
    assert!(!name.is_empty() && name != "script", "<{tag}>");
    assert!(!tag.contains(" on"), "<{tag}> has a handler");
    if let Some(ended) = tag.strip_prefix('/') {
        assert_eq!(open.pop(), Some(ended), "</{ended}> where another was open");
    } else if !tag.ends_with('/') && !VOID.contains(&name) {
        open.push(name);
    }
}

/// Up to and with the `>` that is in no quotes.
fn length_of_tag(text: &str) -> usize {
    let mut quoted = false;
    for (place, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '>' if !quoted => return place + 1,
            _ => {}
        }
    }
    panic!("a tag without an end: {}", text.chars().take(80).collect::<String>());
}

fn tags_of(page: &str) -> impl Iterator<Item = &str> {
    page.match_indices('<').map(|(begin, _)| &page[begin..begin + length_of_tag(&page[begin..])])
}

fn assert_escaped(text: &str, style: bool) {
    assert!(style || !text.contains(['"', '>']), "not escaped: {text}");
    for (place, _) in text.match_indices('&') {
        let entity = &text[place..];
        let known =
            ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"].iter().any(|known| entity.starts_with(known));
        assert!(known, "not escaped: {entity}");
    }
    assert!(!text.contains(|letter: char| letter.is_control() && !letter.is_whitespace()), "{text:?}");
}
