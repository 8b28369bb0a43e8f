//! Which file imports which, from the syntax of all files: an item that a module re-exports counts as imported from the
//! file that defines it. `mod` lines and what only tests import do not count.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A module, as the segments of its path; the crate is empty.
type Module = Vec<String>;

/// The imports between files.
pub struct Imports {
    edges: BTreeSet<(String, String)>,
    crates: BTreeSet<(String, String)>,
}

/// What is known about the module of a file.
#[derive(Default)]
struct Scope {
    file: String,
    items: BTreeSet<String>,
    /// Names that `use` brings into the module, with their full paths.
    bindings: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Every path that the file names.
    paths: BTreeSet<Vec<String>>,
    /// Modules below it that are compiled for tests only.
    tests: Vec<String>,
}

impl Imports {
    /// Reads files, each with its path below `src`.
    pub fn of(files: &BTreeMap<String, String>) -> Self {
        let mut scopes: BTreeMap<Module, Scope> =
            files.iter().map(|(file, text)| (module_of(file), scope(file, text))).collect();
        let tests: Vec<Module> = scopes
            .iter()
            .flat_map(|(module, scope)| {
                scope.tests.iter().map(|test| [module.as_slice(), std::slice::from_ref(test)].concat())
            })
            .collect();
        scopes.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        let (mut edges, mut crates) = (BTreeSet::new(), BTreeSet::new());
        for (module, scope) in &scopes {
            for path in &scope.paths {
                match resolve_own(&scopes, module, path) {
                    Some(file) if file != scope.file => {
                        edges.insert((scope.file.clone(), file));
                    }
                    Some(_) => {}
                    None => {
                        crates.insert((scope.file.clone(), path[0].clone()));
                    }
                }
            }
        }
        Self { edges, crates }
    }

    /// Pairs of files of which the first imports the second.
    pub fn edges(&self) -> impl Iterator<Item = (&String, &String)> {
        self.edges.iter().map(|(from, to)| (from, to))
    }

    /// Files, and the first segments of paths that are not of this crate.
    pub fn crates(&self) -> impl Iterator<Item = (&String, &String)> {
        self.crates.iter().map(|(file, name)| (file, name))
    }

    /// The groups of files that import each other.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let files: BTreeSet<&String> = self.edges.iter().flat_map(|(from, to)| [from, to]).collect();
        let reachable: BTreeMap<&String, BTreeSet<&String>> =
            files.iter().map(|file| (*file, self.reachable(file))).collect();
        let mut cycles = BTreeSet::new();
        for file in files {
            let cycle: Vec<String> = reachable[file]
                .iter()
                .filter(|other| reachable[*other].contains(file))
                .map(ToString::to_string)
                .collect();
            if cycle.len() > 1 {
                cycles.insert(cycle);
            }
        }
        cycles.into_iter().collect()
    }

    fn reachable<'a>(&'a self, file: &'a String) -> BTreeSet<&'a String> {
        let (mut found, mut pending) = (BTreeSet::new(), vec![file]);
        while let Some(file) = pending.pop() {
            for (_, to) in self.edges.iter().filter(|(from, _)| from == file) {
                if found.insert(to) {
                    pending.push(to);
                }
            }
        }
        found
    }
}

fn module_of(file: &str) -> Module {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { Vec::new() } else { path.split('/').map(ToOwned::to_owned).collect() }
}

/// The file that a path of a module leads to; `None`: it is not of this crate. What a macro or an included file defines
/// is not found in its module, so it counts as defined by the file of the module.
fn resolve_own(scopes: &BTreeMap<Module, Scope>, module: &Module, path: &[String]) -> Option<String> {
    let found = resolve(scopes, module, path, &mut Vec::new());
    if found.is_some() || !["crate", "self", "super"].contains(&path[0].as_str()) {
        return found;
    }
    (2..path.len()).rev().find_map(|length| resolve(scopes, module, &path[..length], &mut Vec::new()))
}

/// The file that a path of a module leads to; `None`: it is not found.
fn resolve(
    scopes: &BTreeMap<Module, Scope>,
    module: &Module,
    path: &[String],
    seen: &mut Vec<(Module, Vec<String>)>,
) -> Option<String> {
    let key = (module.clone(), path.to_vec());
    if seen.contains(&key) {
        return None;
    }
    seen.push(key);
    let scope = scopes.get(module)?;
    let Some((first, rest)) = path.split_first() else { return Some(scope.file.clone()) };
    match first.as_str() {
        "crate" => return resolve(scopes, &Vec::new(), rest, seen),
        "self" => return resolve(scopes, module, rest, seen),
        "super" => return resolve(scopes, &module[..module.len().checked_sub(1)?].to_vec(), rest, seen),
        _ => {}
    }
    let child: Module = module.iter().cloned().chain([first.clone()]).collect();
    if scopes.contains_key(&child) {
        return resolve(scopes, &child, rest, seen);
    }
    if scope.items.contains(first) {
        return Some(scope.file.clone());
    }
    // A name that is bound to a path which begins with it is of another crate.
    if let Some(target) = scope.bindings.get(first).filter(|target| target[0] != *first) {
        let path: Vec<String> = target.iter().chain(rest).cloned().collect();
        return resolve(scopes, module, &path, seen);
    }
    let is_own = |glob: &&Vec<String>| ["crate", "self", "super"].contains(&glob[0].as_str());
    scope.globs.iter().filter(is_own).find_map(|glob| {
        let path: Vec<String> = glob.iter().chain(path).cloned().collect();
        resolve(scopes, module, &path, seen)
    })
}

fn scope(file: &str, text: &str) -> Scope {
    let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut scope = Scope { file: file.to_owned(), ..Scope::default() };
    for item in &syntax.items {
        scope.items.extend(name(item));
    }
    scope.visit_file(&syntax);
    scope
}

fn name(item: &syn::Item) -> Option<String> {
    let ident = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Mod(item) if item.content.is_some() => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

impl Scope {
    fn bind(&mut self, prefix: &mut Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.bind(prefix, &path.tree);
                prefix.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.bind(prefix, tree)),
            syn::UseTree::Glob(_) => {
                self.globs.push(prefix.clone());
                self.paths.insert(prefix.clone());
            }
            syn::UseTree::Name(name) => self.bind_name(prefix, &name.ident, &name.ident),
            syn::UseTree::Rename(rename) => self.bind_name(prefix, &rename.ident, &rename.rename),
        }
    }

    fn bind_name(&mut self, prefix: &[String], name: &syn::Ident, binding: &syn::Ident) {
        let (mut path, mut binding) = (prefix.to_vec(), binding.to_string());
        if name == "self" {
            binding.clone_from(path.last().expect("a path before self"));
        } else {
            path.push(name.to_string());
        }
        self.paths.insert(path.clone());
        self.bindings.insert(binding, path);
    }

    /// The paths in the tokens of a macro call.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Ident(ident) if colons == 2 => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    if path.len() > 1 {
                        self.paths.insert(std::mem::take(&mut path));
                    }
                    (path, colons) = (Vec::new(), 0);
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        if path.len() > 1 {
            self.paths.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Scope {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            self.tests.push(item.ident.to_string());
        } else {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.bind(&mut Vec::new(), &item.tree);
        }
    }

    /// `pub(in path)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}
