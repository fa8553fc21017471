//! The lab's own tests: stand-ins are only worth what they are held to.

mod tenant;
