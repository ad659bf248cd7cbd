//! What is on the cable: identity, lens, panel, mura. Pure data and pure maths; opens no file and reads no clock.

mod displayid;
pub mod edid;
pub mod quirks;
