//! The imports between the modules of a crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, ItemMod, ItemUse, UseTree,
    visit::{self, Visit},
};

/// The path of a module within its crate; empty for the root.
pub type Module = Vec<String>;

/// The imports in the source files of a crate.
pub struct Sources {
    /// The pairs of a module and another module that it imports or whose items it names.
    pub imports: BTreeSet<(Module, Module)>,
    /// The pairs of a module and a path of another crate that it names.
    pub paths: Vec<(String, String)>,
}

/// A source file: the paths that it names, and the names that it imports.
#[derive(Default)]
struct File {
    paths: Vec<Module>,
    aliases: BTreeMap<String, Module>,
}

/// Returns the folders of the crates whose sources are in this repository.
pub fn crates() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let parents = [
        "clients",
        "common",
        "functions",
        "tools",
        "tools/bench",
        "",
        "tests",
    ];
    let folders = parents.iter().flat_map(|parent| {
        let entries = fs::read_dir(root.join(parent)).unwrap();
        entries.map(move |entry| Path::new(parent).join(entry.unwrap().file_name()))
    });
    folders
        .filter(|folder| root.join(folder).join("Cargo.toml").exists())
        .filter(|folder| source_of(&root.join(folder)).exists())
        .map(|folder| folder.to_str().unwrap().to_owned())
        .collect()
}

/// Returns the folder with the sources of a crate's library.
fn source_of(folder: &Path) -> PathBuf {
    let support = folder.join("support");
    if support.exists() {
        support
    } else {
        folder.join("src")
    }
}

impl Sources {
    /// Parses the sources of the crate in this folder.
    pub fn of_crate(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let source = source_of(&root.join(folder));
        let mut files = Vec::new();
        read_folder(&source, &source, &mut files);
        Self::parse(files)
    }

    /// Parses files that are given as text.
    pub fn of_files<const N: usize>(files: [(&str, &str); N]) -> Self {
        let owned = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
        Self::parse(owned.into())
    }

    fn parse(files: Vec<(String, String)>) -> Self {
        let parsed: BTreeMap<Module, File> = files
            .iter()
            .map(|(name, text)| (module_of(name), File::parse(text)))
            .collect();

        let (mut imports, mut paths) = (BTreeSet::new(), Vec::new());
        for (module, file) in &parsed {
            for path in &file.paths {
                match resolve(module, path, &parsed) {
                    Ok(target) if target != *module => {
                        imports.insert((module.clone(), target));
                    }
                    Ok(_) => {}
                    Err(path) => paths.push((module.join("::"), path)),
                }
            }
        }
        Self { imports, paths }
    }

    /// Returns the sets of modules that import each other in a cycle. An import of a submodule does
    /// not count.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let mut reachable: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
        for (from, to) in self
            .imports
            .iter()
            .filter(|(from, to)| !to.starts_with(from))
        {
            reachable.entry(from).or_default().insert(to);
        }

        let modules: Vec<&Module> = reachable.keys().copied().collect();
        for through in &modules {
            let beyond = reachable[through].clone();
            for targets in reachable.values_mut() {
                if targets.contains(through) {
                    targets.extend(&beyond);
                }
            }
        }

        let cycles: BTreeSet<Vec<String>> = modules
            .iter()
            .filter(|module| reachable[*module].contains(*module))
            .map(|module| {
                let ring = reachable[module].iter().filter(|other| {
                    reachable
                        .get(*other)
                        .is_some_and(|back| back.contains(module))
                });
                ring.map(|module| module.join("::")).collect()
            })
            .collect();
        cycles.into_iter().collect()
    }
}

/// Adds the Rust files of a folder and its subfolders, with paths relative to `root`.
fn read_folder(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue; // a module for tests
        }
        if path.is_dir() {
            read_folder(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            files.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn module_of(file: &str) -> Module {
    match file.trim_end_matches(".rs") {
        "lib" | "main" => Vec::new(),
        path => path.split('/').map(ToOwned::to_owned).collect(),
    }
}

/// Returns the module that defines what `path` names in `module`.
///
/// # Errors
/// Returns the complete path if it belongs to another crate.
fn resolve(
    module: &Module,
    path: &[String],
    files: &BTreeMap<Module, File>,
) -> Result<Module, String> {
    let mut segments = path.iter();
    let mut target = module.clone();
    let mut is_first = true;

    while let Some(segment) = segments.next() {
        let was_first = std::mem::take(&mut is_first);
        match segment.as_str() {
            "crate" => target.clear(),
            "self" => {}
            "super" => {
                target.pop();
            }
            name => {
                let child = [target.as_slice(), &[name.to_owned()]].concat();
                if files.contains_key(&child) {
                    target = child;
                    continue;
                }

                // An imported name belongs to the module or crate that defines it.
                let alias = files
                    .get(&target)
                    .and_then(|file| file.aliases.get(name))
                    .filter(|alias| alias.len() > 1);
                return match alias {
                    Some(alias) => {
                        let whole: Module = alias.iter().chain(segments).cloned().collect();
                        resolve(&target, &whole, files)
                    }
                    None if was_first => Err(path.join("::")),
                    None => Ok(target),
                };
            }
        }
    }
    Ok(target)
}

impl File {
    fn parse(text: &str) -> Self {
        let mut file = Self::default();
        file.visit_file(&syn::parse_file(text).unwrap());
        file
    }

    fn add_use(&mut self, prefix: &mut Module, tree: &UseTree) {
        let mut add = |prefix: &Module, name: String, alias: String| {
            let mut path = prefix.clone();
            if name != "self" {
                path.push(name);
            }
            let alias = if alias == "self" {
                path.last().cloned().unwrap()
            } else {
                alias
            };
            self.aliases.insert(alias, path.clone());
            self.paths.push(path);
        };

        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(prefix, &path.tree);
                prefix.pop();
            }
            UseTree::Name(name) => add(prefix, name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(name) => add(prefix, name.ident.to_string(), name.rename.to_string()),
            UseTree::Glob(_) => self.paths.push(prefix.clone()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(prefix, tree);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for File {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_use(&mut Vec::new(), &item.tree);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("serde") {
            self.paths.push(vec!["serde".to_owned()]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|it| it.ident.to_string());
        self.paths.push(segments.collect());
        visit::visit_path(self, path);
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|argument| argument == "test")
    })
}
