//! Paths to claims of tokens.

use serde_json::{Map, Value};

/// Names a claim of a token.
///
/// A path that begins with `/` is a JSON Pointer (RFC 6901), such as `/resource_access/app.example.com/roles`: it can name
/// every claim. Any other path is the name of a claim, or else a dotted path through objects, such as `realm_access.roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(String);

impl ClaimPath {
    /// Parses a path. `None`: it is empty, or a pointer with a `~` that is not part of `~0` or `~1`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('~').skip(1).all(|escape| escape.starts_with(['0', '1'])),
            None => !text.is_empty(),
        };
        is_valid.then(|| Self(text.to_owned()))
    }

    /// The path of the claim with this name at the top level.
    pub fn named(name: &str) -> Self {
        Self(format!("/{}", name.replace('~', "~0").replace('/', "~1")))
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Finds the claim.
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        match self.pointer() {
            Some(pointer) => {
                let (name, rest) = pointer.split_at(pointer.find('/').unwrap_or(pointer.len()));
                claims.get(&unescape(name))?.pointer(rest)
            }
            None => find_dotted(claims, &self.0),
        }
    }

    /// The name of the claim at the top level that contains this one, unless another claim has the whole path as its name.
    pub fn top_level(&self) -> String {
        match self.pointer() {
            Some(pointer) => unescape(pointer.split('/').next().unwrap_or_default()),
            None => self.0.split('.').next().unwrap_or_default().to_owned(),
        }
    }

    /// Whether the claim is `scope` (RFC 9068, section 2.2.3) or `scp`: a string of it has several values between spaces.
    pub fn is_scope(&self) -> bool {
        let last = match self.pointer() {
            Some(pointer) => pointer.rsplit('/').next(),
            None => self.0.rsplit('.').next(),
        };
        matches!(last, Some("scope" | "scp"))
    }

    fn pointer(&self) -> Option<&str> {
        self.0.strip_prefix('/')
    }
}

/// A segment of a pointer without its escapes (RFC 6901, section 4).
fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

fn find_dotted<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (head, rest) = path.split_once('.')?;
    find_dotted(claims.get(head)?.as_object()?, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_names_one_claim() {
        let claims = json!({
            "roles": "top",
            "realm_access": {"roles": "nested", "a.b": "dotted name below"},
            "resource_access": {"app.example.com": {"roles": "client"}},
            "https://example.com/roles": "url",
            "urn:zitadel:iam:org:project:roles": "urn",
            "a.b": "literal",
            "a": {"b": "path"},
            "/slash": "slash", "~tilde": "tilde", "": "empty",
            "list": [{"id": "first"}],
        });
        let claims = claims.as_object().unwrap();
        for (path, expected) in [
            ("roles", Some("top")),
            ("realm_access.roles", Some("nested")),
            ("realm_access.a.b", Some("dotted name below")),
            ("resource_access.app.example.com.roles", None),
            ("/resource_access/app.example.com/roles", Some("client")),
            ("https://example.com/roles", Some("url")),
            ("/https:~1~1example.com~1roles", Some("url")),
            ("urn:zitadel:iam:org:project:roles", Some("urn")),
            ("a.b", Some("literal")),
            ("/a/b", Some("path")),
            ("/a.b", Some("literal")),
            ("/~1slash", Some("slash")),
            ("/slash", None),
            ("/~0tilde", Some("tilde")),
            ("/", Some("empty")),
            ("/list/0/id", Some("first")),
            ("/list/1/id", None),
            ("list.0.id", None),
            ("missing", None),
            ("roles.more", None),
        ] {
            let found = ClaimPath::parse(path).unwrap().find(claims).and_then(Value::as_str);
            assert_eq!(found, expected, "{path}");
        }
        for name in claims.keys() {
            assert_eq!(ClaimPath::named(name).find(claims), claims.get(name), "{name}");
        }
        for invalid in ["", "/a~", "/a~2b", "/~"] {
            assert_eq!(ClaimPath::parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn scopes_are_known_by_the_last_name() {
        for (path, is_scope) in [
            ("scope", true),
            ("scp", true),
            ("token.scope", true),
            ("/a.b/scp", true),
            ("scopes", false),
            ("scope.roles", false),
            ("https://example.com/scope", false),
        ] {
            assert_eq!(ClaimPath::parse(path).unwrap().is_scope(), is_scope, "{path}");
        }
        let top_level = |path: &str| ClaimPath::parse(path).unwrap().top_level();
        assert_eq!([top_level("a.b"), top_level("/a.b/c"), top_level("/a~1b")], ["a", "a.b", "a/b"]);
    }
}
