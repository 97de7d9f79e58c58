//! From WebAssembly to machine code, within bounds.
//!
//! How long compiling takes, and how much memory, is up to the component's author, and a compilation
//! that has begun cannot be called off. A gateway therefore runs it in a process of its own, whose
//! time and memory the kernel limits, which knows no secret, and which can be killed
//! ([`Compiler::Apart`]). It is the gateway's own program, started once more.

mod apart;
mod burden;

use std::path::PathBuf;

use burden::Burden;

use crate::limits::WIDE;
use crate::load::LoadError;

pub use apart::{ARGUMENT, serve};

/// Functions of one component, over all of its modules. An interpreter has some 15,000.
const FUNCTIONS_MAX: u64 = 100_000;

/// What the memories and tables of one instance are filled with when it begins. An interpreter has
/// 12 MiB, most of which are mapped and not copied.
const FILLING_BYTES_MAX: u64 = 64 << 20;

/// CPU time of one compilation. The largest of our examples takes 12 s.
const CPU_S_MAX: u64 = 120;

/// Address space of one compilation; the largest of our examples uses half a GiB of memory.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// Where components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// In this process. Only the component's size and the number of its functions are bounded: for
    /// tests, and for components of one's own.
    Here,
    /// In a process of its own.
    Apart(CompilerProcess),
}

/// A program that calls [`serve`] when its first argument is [`ARGUMENT`], and what it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerProcess {
    /// The program.
    pub program: PathBuf,
    /// CPU time, over all of its threads.
    pub cpu_s: u64,
    /// Address space.
    pub memory_bytes: u64,
}

impl CompilerProcess {
    /// This program, started once more, with 120 s of CPU time and 4 GiB of address space.
    ///
    /// # Errors
    /// The system does not say where it is.
    pub fn this_program() -> std::io::Result<Self> {
        // By this name it is the same program, also when its file has been replaced since: another
        // version would compile for itself.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        Ok(Self {
            program,
            cpu_s: CPU_S_MAX,
            memory_bytes: MEMORY_BYTES_MAX,
        })
    }
}

impl Compiler {
    /// Machine code as [`wasmtime::Engine::precompile_component`] gives it.
    pub(crate) fn compile(
        &self,
        engine: &wasmtime::Engine,
        component: &[u8],
    ) -> Result<Vec<u8>, LoadError> {
        check_burden(component)?;
        match self {
            Self::Here => engine
                .precompile_component(component)
                .map_err(|error| LoadError::Compile(format!("{error:#}"))),
            Self::Apart(process) => apart::compile(process, component),
        }
    }
}

/// Refuses what is out of proportion before anything is done for it.
fn check_burden(component: &[u8]) -> Result<(), LoadError> {
    let burden = Burden::read(component).map_err(|error| LoadError::Compile(error.to_string()))?;
    for (what, wanted, allowed) in [
        ("functions", burden.functions, FUNCTIONS_MAX),
        (
            "core instances",
            burden.instances,
            WIDE.core_instances.into(),
        ),
        (
            "bytes to fill its memories and tables with",
            burden.filling_bytes,
            FILLING_BYTES_MAX,
        ),
    ] {
        if wanted > allowed {
            return Err(LoadError::TooDemanding(format!(
                "{wanted} {what}; {allowed} are allowed"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Compiler, CompilerProcess};
    use crate::load::LoadError;
    use crate::sandboxes::compiler_settings;

    const EMPTY: &str = "(component)";

    fn compile(compiler: &Compiler, component: &[u8]) -> Result<Vec<u8>, LoadError> {
        let engine = wasmtime::Engine::new(&compiler_settings()).unwrap();
        compiler.compile(&engine, component)
    }

    fn apart(program: &str) -> Compiler {
        Compiler::Apart(CompilerProcess {
            program: program.into(),
            cpu_s: 10,
            memory_bytes: 1 << 30,
        })
    }

    #[test]
    fn functions_are_counted_over_all_modules() {
        let module = format!("(core module {})", "(func)".repeat(50_000));
        let two = wat::parse_str(format!("(component {module} {module})")).unwrap();
        assert!(!matches!(
            super::check_burden(&two),
            Err(LoadError::TooDemanding(_))
        ));
        let more = format!("(component {module} {module} (core module (func)))");
        let more = wat::parse_str(more).unwrap();
        let Err(LoadError::TooDemanding(said)) = compile(&Compiler::Here, &more) else {
            panic!("accepted");
        };
        assert_eq!(said, "100001 functions; 100000 are allowed");
    }

    #[test]
    fn data_is_counted_as_often_as_it_is_copied() {
        let data = "x".repeat(1 << 20);
        let module = format!(r#"(core module $M (memory 17) (data (i32.const 0) "{data}"))"#);
        let instances = "(core instance (instantiate $M))".repeat(65);
        let text = format!("(component {module} {instances})");
        let error = compile(&Compiler::Here, &wat::parse_str(text).unwrap()).unwrap_err();
        let said = error.to_string();
        assert!(
            said.ends_with("to fill its memories and tables with; 67108864 are allowed"),
            "{said}"
        );
    }

    #[test]
    fn what_the_compiler_refuses_is_told() {
        let Err(LoadError::Compile(said)) =
            compile(&Compiler::Here, b"\0asm\x0d\0\x01\0\x01\x05\0asm")
        else {
            panic!("accepted");
        };
        assert!(!said.is_empty());
    }

    #[test]
    fn a_compiler_that_is_not_there_is_the_hosts_fault() {
        let component = wat::parse_str(EMPTY).unwrap();
        let error = compile(&apart("/nowhere/at/all"), &component).unwrap_err();
        assert!(matches!(error, LoadError::Host(_)), "{error}");
        assert!(error.to_string().contains("compiler"), "{error}");
    }

    #[test]
    fn a_compiler_that_fails_without_a_word_is_the_hosts_fault() {
        let component = wat::parse_str(EMPTY).unwrap();
        let error = compile(&apart("/bin/false"), &component).unwrap_err();
        assert!(matches!(error, LoadError::Host(_)), "{error}");
    }
}
