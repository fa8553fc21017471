//! The operator as a library; the binary is thin.
