//! The `onerouter` program, as people and scripts run it.

mod authors;
mod fifth;
mod guide;
mod installing;
mod manage;
mod plugins;
mod program;
mod registry;
mod serving;
mod talk;
mod testing;
mod wkg;
