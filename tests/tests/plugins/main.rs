//! Installing plugins, and taking them back, while traffic flows.

mod canary;
mod folder;
mod install;
mod keeping;
mod keys;
mod market;
mod nodes;
mod refused;
mod rig;
mod shadow;
mod swap;
mod withdrawn;
