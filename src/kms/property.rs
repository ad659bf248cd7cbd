//! An object's properties by name.

use super::card::Card;
use super::error::KmsError;
use super::ids::{BlobId, ObjectId, PropertyId};
use super::ioctl;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// What a card calls its properties, as far as it was asked. A property keeps its name for as long as there is the card,
/// and is one property to all objects that have it; each costs a call.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<PropertyId, Arc<str>>>);

impl Names {
    fn of(&self, card: &Card, id: PropertyId) -> Result<Arc<str>, KmsError> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(&id) {
            return Ok(name.clone());
        }
        let name = ioctl::property_name(card.as_fd(), id)
            .map_err(|errno| KmsError::call("read the name of", id, errno))?;
        Ok(names.entry(id).or_insert(name.into()).clone())
    }
}

/// The properties one object had when asked.
#[derive(Debug)]
pub struct Properties {
    object: String,
    entries: Vec<(Arc<str>, PropertyId, u64)>,
}

impl Properties {
    /// Reads all properties of an object.
    ///
    /// # Errors
    /// When this fd sees no such object (`ENOENT`).
    pub fn of(card: &Card, object: impl Into<ObjectId> + std::fmt::Display + Copy) -> Result<Self, KmsError> {
        let pairs = ioctl::get_properties(card.as_fd(), object.into())
            .map_err(|errno| KmsError::call("read the properties of", object, errno))?;
        let mut entries = Vec::with_capacity(pairs.len());
        for (raw, value) in pairs {
            let Some(id) = PropertyId::new(raw) else { continue };
            entries.push((card.property_names().of(card, id)?, id, value));
        }
        Ok(Self { object: object.to_string(), entries })
    }

    /// A property's id, where the object has it.
    ///
    /// # Errors
    /// [`KmsError::NoProperty`] when the object has none of that name.
    pub fn id(&self, name: &'static str) -> Result<PropertyId, KmsError> {
        self.find(name)
            .map(|(id, _)| id)
            .ok_or_else(|| KmsError::NoProperty { object: self.object.clone(), property: name })
    }

    /// A property's value, where the object has it.
    pub fn value(&self, name: &str) -> Option<u64> {
        self.find(name).map(|(_, value)| value)
    }

    /// The bytes of a blob property, where the object has it and it is set.
    ///
    /// # Errors
    /// When the property has another blob by now, and that one is gone (`ENOENT`).
    pub fn blob(&self, card: &Card, name: &str) -> Result<Option<Vec<u8>>, KmsError> {
        let Some(id) = self.value(name).and_then(|value| BlobId::new(value as u32)) else { return Ok(None) };
        let mut bytes = Vec::new();
        drm_ffi::mode::get_property_blob(card.as_fd(), id.raw(), Some(&mut bytes))
            .map_err(|error| KmsError::io("read", id, error))?;
        Ok(Some(bytes))
    }

    fn find(&self, name: &str) -> Option<(PropertyId, u64)> {
        self.entries.iter().find(|(known, ..)| **known == *name).map(|&(_, id, value)| (id, value))
    }
}
