//! What all expressions share: CEL's standard library, its string functions and ours, and the value of `keep()`.

use std::{
    any::Any,
    sync::{Arc, LazyLock},
};

use cel::{
    Context, DeclarationError, Env,
    common::{
        types::Type,
        value::{StaticVal, Val},
    },
};

use super::function;

/// The variable that `keep()` becomes.
pub(super) const KEEP: &str = "keep()";

static KEEP_TYPE: Type = Type::new_unspecified_type("keep");

/// The value of `keep()`.
#[derive(Clone, Debug)]
pub(super) struct Keep;

impl Val for Keep {
    fn get_type(&self) -> &Type {
        &KEEP_TYPE
    }

    fn cel_type() -> &'static Type {
        &KEEP_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(Self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Keep {}

static SHARED: LazyLock<Result<Context<'static, 'static>, DeclarationError>> =
    LazyLock::new(|| {
        let mut environment = Env::stdlib().with_optional_support(false);
        environment.add_extension(cel::extensions::strings)?;
        function::declare(&mut environment)?;
        let mut context = Context::with_env(Arc::new(environment));
        context.add_variable_as_val(KEEP, Box::new(Keep));
        Ok(context)
    });

/// Built once: building it costs more than evaluating an expression.
pub(super) fn shared() -> Result<&'static Context<'static, 'static>, &'static DeclarationError> {
    SHARED.as_ref()
}
