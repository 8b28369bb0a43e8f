//! How long files, functions and handlers are.

use std::path::Path;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// Maximum number of lines of a file.
const MAX_FILE_LINES: usize = 400;
/// Maximum number of lines of a function.
const MAX_FUNCTION_LINES: usize = 70;
/// Maximum number of lines of a handler.
const MAX_HANDLER_LINES: usize = 15;

/// What is too long in a file.
pub fn too_long(path: &Path, text: &str) -> Vec<String> {
    let file = path.display().to_string();
    let max_lines = if file.contains("src/grpc/services/") { MAX_HANDLER_LINES } else { MAX_FUNCTION_LINES };
    let mut found = Functions { max_lines, file: file.clone(), too_long: Vec::new() };
    let lines = text.lines().count();
    if lines > MAX_FILE_LINES {
        found.too_long.push(format!("{file} has {lines} lines"));
    }
    found.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}")));
    found.too_long
}

struct Functions {
    max_lines: usize,
    file: String,
    too_long: Vec<String>,
}

impl Functions {
    fn check(&mut self, name: &syn::Ident, block: &syn::Block) {
        let (start, end) = (block.span().start().line, block.span().end().line);
        let lines = end - start + 1;
        if lines > self.max_lines {
            self.too_long.push(format!("{}: {name} has {lines} lines", self.file));
        }
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.check(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.check(&function.sig.ident, block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.check(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}
