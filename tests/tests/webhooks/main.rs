//! Events reach the endpoints of whoever wants to hear of them.

mod answers;
mod disabling;
mod limits;
mod nodes;
mod order;
mod outbox;
mod rig;
mod targets;
mod telling;
mod verifiers;
