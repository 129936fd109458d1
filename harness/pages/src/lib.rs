//! Nothing here: the tests of this crate open reports in a browser, and what that needs shall not be built with anything else.
