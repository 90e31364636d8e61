//! The two HTML documents, filled in.

use crate::embedded;

/// An HTML document of the UI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Every page for people who are signed in. Placeholders: `title`, `site-name`, `contact`,
    /// `status` (the HTTP status it is served with), `needs` (role that is missing when that is
    /// 403), `user` (who is signed in), `position` (changes after it have an event), `notice` (of the
    /// site; empty without one).
    Index,
    /// The login form; works without JavaScript. Placeholders: `title`, `site-name`, `message`,
    /// `message-class` (`info`, `error`), `redirect`, `contact`.
    Login,
}

impl Page {
    fn file(self) -> &'static str {
        match self {
            Self::Index => "index.html",
            Self::Login => "login.html",
        }
    }
}

/// The document with each `{{name}}` replaced by its value, escaped for HTML text and for quoted
/// attributes. A placeholder without a value becomes empty.
///
/// Without a build of the UI: a plain document that says how to make one.
pub fn page(page: Page, values: &[(&str, &str)]) -> String {
    match embedded::document(page.file()) {
        Some(template) => fill(&template, values),
        None => fill(NOT_BUILT, values),
    }
}

const NOT_BUILT: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>{{title}}</title></head>
<body>
<h1>{{title}}</h1>
<p>{{message}}</p>
<h2>The UI was not built</h2>
<p>This server was compiled without its pages. Run <code>make web</code> and compile again.
The interfaces for programs work all the same.</p>
</body>
</html>
";

fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once("}}") else {
            out.push_str("{{");
            rest = after;
            break;
        };
        if is_name(name) {
            let value = values.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            escape_into(&mut out, value.unwrap_or_default());
            rest = tail;
        } else {
            out.push_str("{{");
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn escape_into(out: &mut String, value: &str) {
    for sign in value.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(sign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_in_text_and_attributes() {
        let filled =
            fill("<p class=\"{{class}}\">{{text}}</p>", &[("class", "\" onload='x"), ("text", "<b>&</b>")]);
        assert_eq!(filled, "<p class=\"&quot; onload=&#39;x\">&lt;b&gt;&amp;&lt;/b&gt;</p>");
    }

    #[test]
    fn a_value_is_never_read_as_a_placeholder() {
        assert_eq!(fill("{{a}}-{{b}}", &[("a", "{{b}}"), ("b", "2")]), "{{b}}-2");
    }

    #[test]
    fn what_has_no_value_is_empty_and_what_is_no_placeholder_stays() {
        assert_eq!(fill("[{{none}}] {{ x }} {{", &[]), "[] {{ x }} {{");
        assert_eq!(fill("{{x{{site-name}}", &[("site-name", "S")]), "{{xS");
        assert_eq!(fill("", &[("a", "b")]), "");
    }

    #[test]
    fn the_login_form_keeps_the_address_that_was_asked_for() {
        let text = page(Page::Login, &[("title", "Login"), ("redirect", "/monitoring/jobs/?a=1&b=\"2\"")]);
        if !crate::is_built() {
            assert!(text.contains("make web"));
            eprintln!("skipped: the UI is not built (make web)");
            return;
        }
        assert!(text.contains("<title>Login</title>"));
        assert!(text.contains("name=\"redirect\" value=\"/monitoring/jobs/?a=1&amp;b=&quot;2&quot;\""));
        assert!(text.contains("name=\"username\""));
        assert!(!text.contains("{{"));
    }

    #[test]
    fn no_document_holds_anything_inline() {
        for document in [Page::Index, Page::Login] {
            let text = page(document, &[]);
            assert!(!text.contains(" style=") && !text.contains("<style"), "{document:?}");
            assert!(!text.contains("<script>") && !text.contains("javascript:"), "{document:?}");
            assert!(!text.contains(" onload=") && !text.contains(" onclick="), "{document:?}");
        }
    }
}
