//! One trainer for every conditional model.
