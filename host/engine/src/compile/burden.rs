//! What a component costs before it has run: read from its bytes, before they are compiled.
//!
//! Compiling and instantiating happen in the host, where no CPU budget counts. Both grow with the
//! component, but not only with its size: one module can be instantiated hundreds of times, each time
//! with all of its data.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, ComponentTypeRef, Instance, Parser, Payload,
};

/// Sums over a component.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Burden {
    /// Functions of all modules.
    pub(super) functions: u64,
    /// Core instances that one instance of the component is made of.
    pub(super) instances: u64,
    /// Bytes that describe what their memories and tables are filled with.
    pub(super) filling_bytes: u64,
}

/// What one instance of something takes.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    instances: u64,
    filling_bytes: u64,
}

impl Share {
    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.filling_bytes = self.filling_bytes.saturating_add(other.filling_bytes);
    }

    fn larger(self, other: Self) -> Self {
        Self {
            instances: self.instances.max(other.instances),
            filling_bytes: self.filling_bytes.max(other.filling_bytes),
        }
    }
}

/// A component, as far as it is read: what its modules and components take, by their indices.
#[derive(Debug, Default)]
struct Level {
    modules: Vec<Share>,
    components: Vec<Share>,
    own: Share,
}

/// A module or a component that is being read.
enum Open {
    Module(Share),
    Component(Level),
}

struct Reading {
    functions: u64,
    open: Vec<Open>,
    /// Stands for what is not known: which module an import will be.
    largest: Share,
}

impl Burden {
    /// Reads a component.
    ///
    /// # Errors
    /// It is damaged.
    pub(super) fn read(component: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut reading = Reading {
            functions: 0,
            open: vec![Open::Component(Level::default())],
            largest: Share::default(),
        };
        let mut whole = Share::default();
        for payload in Parser::new(0).parse_all(component) {
            if let Some(share) = reading.take(payload?)? {
                whole = share;
            }
        }
        Ok(Self {
            functions: reading.functions,
            instances: whole.instances,
            filling_bytes: whole.filling_bytes,
        })
    }
}

impl Reading {
    /// The whole component's share, at its end.
    fn take(&mut self, payload: Payload<'_>) -> Result<Option<Share>, BinaryReaderError> {
        match payload {
            Payload::ModuleSection { .. } => self.open.push(Open::Module(Share {
                instances: 1,
                filling_bytes: 0,
            })),
            Payload::ComponentSection { .. } => self.open.push(Open::Component(Level::default())),
            Payload::End(_) => return Ok(self.close()),
            Payload::FunctionSection(section) => {
                self.functions = self.functions.saturating_add(section.count().into());
            }
            Payload::DataSection(section) => self.fill(section.range().len()),
            Payload::ElementSection(section) => self.fill(section.range().len()),
            Payload::InstanceSection(section) => {
                for instance in section {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        let share = self.module(0, module_index);
                        self.own(share);
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance?
                    {
                        let share = self.component(0, component_index);
                        self.own(share);
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.alias(&alias?);
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    match import?.ty {
                        ComponentTypeRef::Module(_) => self.add_module(self.largest),
                        ComponentTypeRef::Component(_) => self.add_component(self.largest),
                        _ => {}
                    }
                }
            }
            // What is exported has a new index besides.
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Module => {
                            self.add_module(self.module(0, export.index));
                        }
                        ComponentExternalKind::Component => {
                            self.add_component(self.component(0, export.index));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match *alias {
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::CoreModule,
                count,
                index,
            } => self.add_module(self.module(count, index)),
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::Component,
                count,
                index,
            } => self.add_component(self.component(count, index)),
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Module,
                ..
            } => self.add_module(self.largest),
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Component,
                ..
            } => self.add_component(self.largest),
            _ => {}
        }
    }

    /// So many levels outwards.
    fn level(&self, outwards: u32) -> Option<&Level> {
        let mut levels = self.open.iter().rev().filter_map(|open| match open {
            Open::Component(level) => Some(level),
            Open::Module(_) => None,
        });
        levels.nth(usize::try_from(outwards).ok()?)
    }

    fn module(&self, outwards: u32, index: u32) -> Share {
        let find = || {
            self.level(outwards)?
                .modules
                .get(usize::try_from(index).ok()?)
        };
        find().copied().unwrap_or(self.largest)
    }

    fn component(&self, outwards: u32, index: u32) -> Share {
        let find = || {
            self.level(outwards)?
                .components
                .get(usize::try_from(index).ok()?)
        };
        find().copied().unwrap_or(self.largest)
    }

    fn add_module(&mut self, share: Share) {
        if let Some(Open::Component(level)) = self.open.last_mut() {
            level.modules.push(share);
        }
    }

    fn add_component(&mut self, share: Share) {
        if let Some(Open::Component(level)) = self.open.last_mut() {
            level.components.push(share);
        }
    }

    fn own(&mut self, share: Share) {
        if let Some(Open::Component(level)) = self.open.last_mut() {
            level.own.add(share);
        }
    }

    fn fill(&mut self, bytes: usize) {
        if let Some(Open::Module(share)) = self.open.last_mut() {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            share.filling_bytes = share.filling_bytes.saturating_add(bytes);
        }
    }

    fn close(&mut self) -> Option<Share> {
        match self.open.pop()? {
            Open::Module(share) => {
                self.largest = self.largest.larger(share);
                self.add_module(share);
                None
            }
            Open::Component(level) => {
                self.largest = self.largest.larger(level.own);
                self.add_component(level.own);
                self.open.is_empty().then_some(level.own)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Burden;

    fn burden(text: &str) -> Burden {
        Burden::read(&wat::parse_str(text).unwrap()).unwrap()
    }

    /// Data of 1,000 bytes and what it takes to say where they go.
    fn module(name: &str) -> String {
        let data = "x".repeat(1_000);
        format!(
            r#"(core module {name} (func) (func) (memory 1) (data (i32.const 0) "{data}")
              (table 9 funcref) (elem (i32.const 0) func 0 1 0 1 0 1 0 1 0))"#
        )
    }

    #[test]
    fn a_module_counts_as_often_as_it_is_instantiated() {
        let text = |instances: &str| format!("(component {} {instances})", module("$M"));
        let none = burden(&text(""));
        assert_eq!((none.functions, none.instances), (2, 0));
        let one = burden(&text("(core instance (instantiate $M))"));
        assert_eq!((one.functions, one.instances), (2, 1));
        assert!((1_009..1_100).contains(&one.filling_bytes), "{one:?}");
        let three = burden(&text(&"(core instance (instantiate $M))".repeat(3)));
        assert_eq!(
            (three.functions, three.instances, three.filling_bytes),
            (2, 3, 3 * one.filling_bytes)
        );
    }

    #[test]
    fn components_within_count_by_what_they_hold() {
        let inner = format!(
            "(component $C {} (core instance (instantiate $M)) (core instance (instantiate $M)))",
            module("$M")
        );
        let text = format!(
            "(component {inner} (component $D (alias outer 1 $C (component $E))
              (instance (instantiate $E)) (instance (instantiate $E)))
              (instance (instantiate $D)) (instance (instantiate $D)) (instance (instantiate $C)))"
        );
        assert_eq!(burden(&text).instances, 2 * 2 * 2 + 2);
    }

    #[test]
    fn doubling_does_not_overflow() {
        let mut text = format!(
            "(component $C0 {} (core instance (instantiate $M)))",
            module("$M")
        );
        for level in 0..80 {
            text = format!(
                "{text} (component $C{} (alias outer 1 $C{level} (component $I))
                  (instance (instantiate $I)) (instance (instantiate $I)))",
                level + 1
            );
        }
        let doubled = burden(&format!("(component {text} (instance (instantiate $C80)))"));
        assert_eq!(doubled.instances, u64::MAX);
        assert_eq!(doubled.filling_bytes, u64::MAX);
        assert_eq!(doubled.functions, 2);
    }

    #[test]
    fn what_is_exported_or_taken_from_elsewhere_keeps_its_place() {
        let text = format!(
            r#"(component {} (export $X "x" (core module $M)) {}
              (component $C (alias outer 1 $X (core module $Y)) (core instance (instantiate $Y)))
              (instance (instantiate $C)) (core instance (instantiate $X)))"#,
            module("$M"),
            "(core module $small)"
        );
        let counted = burden(&text);
        assert_eq!(counted.instances, 2);
        assert!(counted.filling_bytes > 2_000, "{counted:?}");
        // Whatever is imported is taken for the largest that is known.
        let text = format!(
            r#"(component {} (import "m" (core module $I)) (core instance (instantiate $I)))"#,
            module("$M")
        );
        let counted = burden(&text);
        assert_eq!(counted.instances, 1);
        assert!(counted.filling_bytes > 1_000, "{counted:?}");
    }
}
