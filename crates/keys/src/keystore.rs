//! EIP-2335 keystores: one encrypted 32-byte secret as JSON.
//!
//! Guarantees: a decrypted secret passed the checksum; costs and sizes are bounded before any memory or time is spent on
//! them, and at most two scrypt run at once in the whole program, whoever calls; secrets and passwords are wiped. Written
//! files are byte for byte in the form of Charon's.
//! Not here: files and folders; whether the secret belongs to the `pubkey` field (nobody checks that, cluster.md 8.2).

use std::{
    fmt,
    sync::{Condvar, Mutex, PoisonError},
};

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use unicode_normalization::{UnicodeNormalization as _, char::canonical_combining_class};
use zeroize::Zeroizing;

/// Largest file that is looked at, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// PBKDF2 rounds above this are refused; the usual number is 262,144.
pub const MAX_ROUNDS: u64 = 10_000_000;
/// Scrypt memory, 128 * n * r bytes, above this is refused; the usual amount is 256 MiB.
pub const MAX_SCRYPT_MEMORY: u64 = 512 << 20;
/// Scrypt repetitions above this are refused; the usual number is 1.
pub const MAX_SCRYPT_P: u64 = 16;
/// How many scrypt run at once.
const SCRYPTS: usize = 2;
/// The derivation path in the files that Charon writes; a share is not derived from anything.
const PATH: &str = "m/12381/3600/0/0/0";

/// What encrypting costs. Reading knows the cost from the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// 262,144 rounds of PBKDF2.
    Full,
    /// 16 rounds: for tests and local clusters. The file's name says so, too.
    Insecure,
}

impl Cost {
    const fn rounds(self) -> u32 {
        match self {
            Self::Full => 262_144,
            Self::Insecure => 16,
        }
    }
}

/// The random parts of a keystore, given by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonces {
    /// Salt of the key derivation.
    pub salt: [u8; 32],
    /// Initial counter of the cipher.
    pub iv: [u8; 16],
    /// The file's uuid; its version bits are not touched.
    pub uuid: [u8; 16],
}

impl Nonces {
    /// Takes all three from the caller's randomness.
    pub fn generate(mut fill: impl FnMut(&mut [u8])) -> Self {
        let mut new = Self {
            salt: [0; 32],
            iv: [0; 16],
            uuid: [0; 16],
        };
        fill(&mut new.salt);
        fill(&mut new.iv);
        fill(&mut new.uuid);
        new
    }
}

/// Why a keystore cannot be read or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    /// Larger than [`MAX_FILE`].
    #[error("the keystore has {0} bytes, more than any keystore")]
    TooLarge(usize),
    /// Not JSON of the expected shape.
    #[error("the file is not an EIP-2335 keystore: {0}; it may be truncated")]
    Json(String),
    /// Another version than 4.
    #[error("keystore version {0} is not supported, only version 4")]
    Version(u64),
    /// A function that EIP-2335 does not know, or Charon does not use.
    #[error("keystore {part} function {function:?} is not supported")]
    Function {
        /// `kdf`, `prf`, `checksum` or `cipher`.
        part: &'static str,
        /// What the file says.
        function: String,
    },
    /// A parameter that is not there, or not of its form.
    #[error("keystore parameter {0} is missing or ill-formed")]
    Parameter(&'static str),
    /// A cost that no keystore needs.
    #[error(
        "keystore parameter {what} is {found}, more than the {most} that are allowed; the file may be hostile, so it is not opened"
    )]
    Cost {
        /// Which.
        what: &'static str,
        /// What the file asks for.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// The password is not text.
    #[error("the password is not UTF-8 text")]
    PasswordText,
    /// The checksum does not fit.
    #[error("the password does not open this keystore")]
    WrongPassword,
    /// The secret is not 32 bytes.
    #[error("the keystore holds a secret of {0} bytes, expected 32")]
    SecretLength(usize),
}

/// A keystore file's content.
#[derive(Clone, Serialize, Deserialize)]
pub struct Keystore {
    crypto: Crypto,
    #[serde(default)]
    description: Option<String>,
    #[serde(default, deserialize_with = "text_or_null")]
    pubkey: String,
    #[serde(default, deserialize_with = "text_or_null")]
    path: String,
    #[serde(default, deserialize_with = "text_or_null")]
    uuid: String,
    version: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Crypto {
    checksum: Module<NoParams>,
    cipher: Module<CipherParams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kdf: Option<Module<KdfParams>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Module<P> {
    function: String,
    #[serde(default, deserialize_with = "text_or_null")]
    message: String,
    params: P,
}

/// A checksum has none, whatever stands there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "serde::de::IgnoredAny")]
struct NoParams {}

impl From<serde::de::IgnoredAny> for NoParams {
    fn from(_: serde::de::IgnoredAny) -> Self {
        Self {}
    }
}

/// Some tools write `null` for what they do not know.
fn text_or_null<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Clone, Serialize, Deserialize)]
struct CipherParams {
    iv: String,
}

/// The union of both functions' parameters; alphabetical, as they are written.
#[derive(Clone, Serialize, Deserialize)]
struct KdfParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<u64>,
    dklen: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prf: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<u64>,
    salt: String,
}

impl Keystore {
    /// Reads a file's content.
    ///
    /// # Errors
    /// If it is too large, not JSON of this shape, or of another version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, KeystoreError> {
        if bytes.len() > MAX_FILE {
            return Err(KeystoreError::TooLarge(bytes.len()));
        }
        let keystore: Self = serde_json::from_slice(bytes).map_err(|e| KeystoreError::Json(e.to_string()))?;
        if keystore.version != 4 {
            return Err(KeystoreError::Version(keystore.version));
        }
        Ok(keystore)
    }

    /// Encrypts `secret`. `pubkey` is the compressed BLS public key of the secret, which this crate cannot compute.
    #[must_use]
    pub fn encrypt(secret: &[u8; 32], pubkey: &[u8; 48], password: &str, cost: Cost, nonces: &Nonces) -> Self {
        Self::encrypt_keeping_key(secret, pubkey, password, cost, nonces).0
    }

    /// As [`Keystore::encrypt`], with the key that the password gave, to check later what was read back from a disk.
    #[must_use]
    pub fn encrypt_keeping_key(
        secret: &[u8; 32],
        pubkey: &[u8; 48],
        password: &str,
        cost: Cost,
        nonces: &Nonces,
    ) -> (Self, DerivedKey) {
        let key = pbkdf2_key(&normalised(password), &nonces.salt, cost.rounds());
        let (cipher_key, mac_key) = key.split_at(16);
        let mut text = *secret;
        // Sixteen bytes of key and sixteen of counter always fit.
        if let Ok(mut cipher) = Ctr128BE::<Aes128>::new_from_slices(cipher_key, &nonces.iv) {
            cipher.apply_keystream(&mut text);
        }
        let keystore = Self {
            crypto: Crypto {
                checksum: Module {
                    function: "sha256".into(),
                    message: hex::encode(checksum(mac_key, &text)),
                    params: NoParams {},
                },
                cipher: Module {
                    function: "aes-128-ctr".into(),
                    message: hex::encode(text),
                    params: CipherParams {
                        iv: hex::encode(nonces.iv),
                    },
                },
                kdf: Some(Module {
                    function: "pbkdf2".into(),
                    message: String::new(),
                    params: KdfParams {
                        c: Some(cost.rounds().into()),
                        dklen: 32,
                        n: None,
                        p: None,
                        prf: Some("hmac-sha256".into()),
                        r: None,
                        salt: hex::encode(nonces.salt),
                    },
                }),
            },
            description: Some(String::new()),
            pubkey: hex::encode(pubkey),
            path: PATH.into(),
            uuid: uuid::Uuid::from_bytes(nonces.uuid)
                .hyphenated()
                .to_string()
                .to_uppercase(),
            version: 4,
        };
        (keystore, DerivedKey(key))
    }

    /// Opens the keystore with the key itself, at no cost.
    ///
    /// # Errors
    /// [`KeystoreError::WrongPassword`] if the checksum does not fit, or what is wrong with the keystore.
    pub fn open_with(&self, key: &DerivedKey) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        self.open(key.0.as_slice(), &self.encrypted()?)
    }

    /// The JSON text: one space per level, no line end behind it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "string keys and values only, written to memory")]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut out, format))
            .expect("a keystore is plain JSON");
        out
    }

    /// The public key that the file claims, hex as it stands there. It is not checked against the secret.
    #[must_use]
    pub fn pubkey(&self) -> &str {
        &self.pubkey
    }

    /// What one try to open it costs, as the file says: rounds of PBKDF2, or n * r * p of scrypt. It is the file's choice,
    /// and may be more than we are willing to do.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.crypto.kdf.as_ref().map_or(0, |kdf| {
            let KdfParams { c, n, p, r, .. } = &kdf.params;
            let scrypt = [n, r, p]
                .into_iter()
                .map(|x| x.unwrap_or(1))
                .fold(1, u64::saturating_mul);
            c.unwrap_or(0).max(scrypt)
        })
    }

    /// Opens the keystore with the content of a password file. Control characters, so also a line end, do not count.
    ///
    /// # Errors
    /// [`KeystoreError::WrongPassword`] if the checksum does not fit under the present and the older normalisation; other
    /// variants if the file asks for something that we do not do.
    pub fn decrypt(&self, password: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let password = std::str::from_utf8(password).map_err(|_| KeystoreError::PasswordText)?;
        let first = normalised(password);
        match self.decrypt_with(&first) {
            Err(KeystoreError::WrongPassword) => {
                let older = normalised_as_before(password);
                if older == first {
                    Err(KeystoreError::WrongPassword)
                } else {
                    self.decrypt_with(&older)
                }
            }
            done => done,
        }
    }

    fn decrypt_with(&self, password: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let text = self.encrypted()?;
        let key = match &self.crypto.kdf {
            Some(kdf) => kdf.derive(password)?,
            // Without key derivation the password itself is the key.
            None => Zeroizing::new(password.as_bytes().to_vec()),
        };
        self.open(&key, &text)
    }

    /// The encrypted secret, if it is one of 32 bytes in the way that we know.
    fn encrypted(&self) -> Result<[u8; 32], KeystoreError> {
        let Crypto {
            checksum: sum, cipher, ..
        } = &self.crypto;
        supported("checksum", &sum.function, "sha256")?;
        supported("cipher", &cipher.function, "aes-128-ctr")?;
        let text = hex::decode(&cipher.message).map_err(|_| KeystoreError::Parameter("cipher.message"))?;
        let len = text.len();
        text.try_into().map_err(|_| KeystoreError::SecretLength(len))
    }

    fn open(&self, key: &[u8], text: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let Crypto {
            checksum: sum, cipher, ..
        } = &self.crypto;
        let (Some(cipher_key), Some(mac_key)) = (key.get(..16), key.get(16..32)) else {
            return Err(KeystoreError::Parameter("kdf.params.dklen"));
        };
        if !sum.message.eq_ignore_ascii_case(&hex::encode(checksum(mac_key, text))) {
            return Err(KeystoreError::WrongPassword);
        }
        let iv = hex::decode(&cipher.params.iv).map_err(|_| KeystoreError::Parameter("cipher.params.iv"))?;
        let mut stream = Ctr128BE::<Aes128>::new_from_slices(cipher_key, &iv)
            .map_err(|_| KeystoreError::Parameter("cipher.params.iv"))?;
        let mut secret = Zeroizing::new(*text);
        stream.apply_keystream(secret.as_mut_slice());
        Ok(secret)
    }
}

/// The key that a password gave for one keystore. It opens that keystore without the password's cost.
pub struct DerivedKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKey(***)")
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore")
            .field("pubkey", &self.pubkey)
            .field("uuid", &self.uuid)
            .finish_non_exhaustive()
    }
}

impl Module<KdfParams> {
    fn derive(&self, password: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let KdfParams {
            c,
            dklen,
            n,
            p,
            prf,
            r,
            salt,
        } = &self.params;
        let salt = hex::decode(salt).map_err(|_| KeystoreError::Parameter("kdf.params.salt"))?;
        if *dklen < 32 {
            return Err(KeystoreError::Parameter("kdf.params.dklen"));
        }
        within("kdf.params.dklen", *dklen, 128)?;
        match self.function.as_str() {
            "pbkdf2" => {
                supported("prf", prf.as_deref().unwrap_or_default(), "hmac-sha256")?;
                let rounds = c.filter(|c| *c != 0).ok_or(KeystoreError::Parameter("kdf.params.c"))?;
                within("kdf.params.c", rounds, MAX_ROUNDS)?;
                let rounds = u32::try_from(rounds).map_err(|_| KeystoreError::Parameter("kdf.params.c"))?;
                Ok(Zeroizing::new(pbkdf2_key(password, &salt, rounds).to_vec()))
            }
            "scrypt" => {
                let bad = KeystoreError::Parameter("kdf.params n, r and p");
                let (Some(n), Some(r), Some(p)) = (*n, *r, *p) else {
                    return Err(bad);
                };
                within(
                    "kdf.params memory (128 * n * r bytes)",
                    n.saturating_mul(r).saturating_mul(128),
                    MAX_SCRYPT_MEMORY,
                )?;
                within("kdf.params.p", p, MAX_SCRYPT_P)?;
                if !n.is_power_of_two() || n < 2 {
                    return Err(bad);
                }
                let (Ok(r), Ok(p)) = (u32::try_from(r), u32::try_from(p)) else {
                    return Err(bad);
                };
                let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| bad.clone())?;
                let params = scrypt::Params::new(log_n, r, p).map_err(|_| bad.clone())?;
                let mut key = Zeroizing::new(vec![0; 32]);
                let _turn = Turn::take();
                scrypt::scrypt(password.as_bytes(), &salt, &params, &mut key).map_err(|_| bad)?;
                Ok(key)
            }
            other => Err(KeystoreError::Function {
                part: "kdf",
                function: other.to_owned(),
            }),
        }
    }
}

fn within(what: &'static str, found: u64, most: u64) -> Result<(), KeystoreError> {
    if found <= most {
        Ok(())
    } else {
        Err(KeystoreError::Cost { what, found, most })
    }
}

/// The right to run scrypt: its memory is the file's choice, so only [`SCRYPTS`] have it at once.
struct Turn;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ONE_ENDED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = ONE_ENDED
            .wait_while(running, |running| *running >= SCRYPTS)
            .unwrap_or_else(PoisonError::into_inner);
        *running = running.saturating_add(1);
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        *running = running.saturating_sub(1);
        ONE_ENDED.notify_one();
    }
}

fn supported(part: &'static str, found: &str, ours: &str) -> Result<(), KeystoreError> {
    if found == ours {
        Ok(())
    } else {
        Err(KeystoreError::Function {
            part,
            function: found.to_owned(),
        })
    }
}

/// The first 32 bytes of the derived key are all that is used, whatever `dklen` says: PBKDF2 and scrypt give the same first
/// bytes for any longer length.
fn pbkdf2_key(password: &str, salt: &[u8], rounds: u32) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, rounds, key.as_mut_slice());
    key
}

fn checksum(mac_key: &[u8], text: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(mac_key).chain_update(text).finalize().into()
}

/// NFKD without control characters (EIP-2335, with Charon's narrower set of controls).
fn normalised(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.nfkd().filter(|c| !is_control(*c)).collect())
}

/// How keystores were written before: combining marks fell out.
fn normalised_as_before(password: &str) -> Zeroizing<String> {
    let marks_out = password
        .nfkd()
        .enumerate()
        .filter(|(at, c)| *at == 0 || canonical_combining_class(*c) == 0);
    Zeroizing::new(marks_out.map(|(_, c)| c).filter(|c| !is_control(*c)).collect())
}

const fn is_control(c: char) -> bool {
    matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCES: Nonces = Nonces {
        salt: [1; 32],
        iv: [2; 16],
        uuid: [0xab; 16],
    };

    fn sample(password: &str) -> Keystore {
        Keystore::encrypt(&[9; 32], &[0; 48], password, Cost::Insecure, &NONCES)
    }

    #[test]
    fn a_written_keystore_is_opened_with_its_password_and_no_other() {
        let keystore = Keystore::from_json(&sample("secret").to_json()).unwrap();
        assert_eq!(*keystore.decrypt(b"secret").unwrap(), [9; 32]);
        assert_eq!(*keystore.decrypt(b"secret\r\n").unwrap(), [9; 32]);
        assert_eq!(keystore.decrypt(b"Secret"), Err(KeystoreError::WrongPassword));
        assert_eq!(keystore.decrypt(b""), Err(KeystoreError::WrongPassword));
        assert_eq!(keystore.decrypt(b"\xff"), Err(KeystoreError::PasswordText));
    }

    #[test]
    fn the_file_has_charons_fields_and_order() {
        let text = String::from_utf8(sample("x").to_json()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["uuid"], "ABABABAB-ABAB-ABAB-ABAB-ABABABABABAB");
        assert_eq!(json["path"], "m/12381/3600/0/0/0");
        assert_eq!(json["description"], "");
        let order = [
            "crypto",
            "checksum",
            "cipher",
            "kdf",
            "description",
            "pubkey",
            "path",
            "uuid",
            "version",
        ];
        let places: Vec<_> = order.iter().map(|k| text.find(&format!("\"{k}\"")).unwrap()).collect();
        assert!(places.is_sorted());
        assert!(text.starts_with("{\n \"crypto\": {\n  \"checksum\""), "{text}");
    }

    #[test]
    fn the_derived_key_opens_its_own_keystore_alone() {
        let make = |salt: u8| {
            let nonces = Nonces {
                salt: [salt; 32],
                ..NONCES
            };
            Keystore::encrypt_keeping_key(&[9; 32], &[0; 48], "x", Cost::Insecure, &nonces)
        };
        let ((keystore, key), (_, other)) = (make(1), make(2));
        assert_eq!(*keystore.open_with(&key).unwrap(), [9; 32]);
        assert_eq!(keystore.open_with(&other), Err(KeystoreError::WrongPassword));
        assert_eq!(*keystore.decrypt(b"x").unwrap(), [9; 32]);
    }

    #[test]
    fn passwords_are_compared_in_their_compatibility_form() {
        // The EIP's own example: mathematical letters and a combining form of the key emoji.
        let fancy = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑";
        assert_eq!(normalised(fancy).as_str(), "testpassword🔑");
        assert_eq!(*sample(fancy).decrypt("testpassword🔑".as_bytes()).unwrap(), [9; 32]);
        // Older files dropped the accent.
        assert_eq!(normalised_as_before("é!").as_str(), "e!");
        assert_eq!(*sample("e!").decrypt("é!".as_bytes()).unwrap(), [9; 32]);
    }

    #[test]
    fn a_truncated_keystore_is_refused_at_every_length() {
        let text = sample("x").to_json();
        for end in 0..text.len() {
            assert!(
                matches!(Keystore::from_json(&text[..end]), Err(KeystoreError::Json(_))),
                "{end}"
            );
        }
    }

    #[test]
    fn at_most_two_scrypts_have_their_turn_and_every_one_gets_it() {
        let most = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _turn = Turn::take();
                    let running = *RUNNING.lock().unwrap();
                    let mut most = most.lock().unwrap();
                    *most = running.max(*most);
                });
            }
        });
        assert!((1..=SCRYPTS).contains(&*most.lock().unwrap()));
    }

    #[test]
    fn what_other_tools_leave_out_or_give_as_null_is_no_fault() {
        let mut json: serde_json::Value = serde_json::from_slice(&sample("x").to_json()).unwrap();
        for key in ["description", "pubkey", "path", "uuid"] {
            json[key] = serde_json::Value::Null;
        }
        json["name"] = "another tool's".into();
        json["crypto"]["kdf"]["message"] = serde_json::Value::Null;
        json["crypto"]["checksum"]["params"] = serde_json::Value::Null;
        let keystore = Keystore::from_json(json.to_string().as_bytes()).unwrap();
        assert_eq!(*keystore.decrypt(b"x").unwrap(), [9; 32]);
    }

    #[test]
    fn unbounded_costs_are_refused_before_they_are_paid() {
        let with = |kdf: serde_json::Value| {
            let mut json: serde_json::Value = serde_json::from_slice(&sample("x").to_json()).unwrap();
            json["crypto"]["kdf"] = kdf;
            Keystore::from_json(json.to_string().as_bytes())
                .unwrap()
                .decrypt(b"x")
                .unwrap_err()
        };
        let module =
            |function: &str, params| serde_json::json!({"function": function, "message": "", "params": params});
        let cost = |what, found, most| KeystoreError::Cost { what, found, most };
        let memory = "kdf.params memory (128 * n * r bytes)";
        for (n, r) in [(1_u64 << 40, 8_u64), (1 << 20, 8), (2, 1 << 40), (u64::MAX, u64::MAX)] {
            let huge = serde_json::json!({"dklen": 32, "n": n, "r": r, "p": 1, "salt": ""});
            let found = n.saturating_mul(r).saturating_mul(128);
            assert_eq!(with(module("scrypt", huge)), cost(memory, found, 512 << 20));
        }
        let repeated = serde_json::json!({"dklen": 32, "n": 2, "r": 1, "p": 17, "salt": ""});
        assert_eq!(with(module("scrypt", repeated)), cost("kdf.params.p", 17, 16));
        let slow = serde_json::json!({"dklen": 32, "c": 10_000_001, "prf": "hmac-sha256", "salt": ""});
        assert_eq!(
            with(module("pbkdf2", slow)),
            cost("kdf.params.c", 10_000_001, 10_000_000)
        );
        let long = serde_json::json!({"dklen": 1 << 30, "c": 1, "prf": "hmac-sha256", "salt": ""});
        assert_eq!(with(module("pbkdf2", long)), cost("kdf.params.dklen", 1 << 30, 128));
        let none = serde_json::json!({"dklen": 32, "c": 0, "prf": "hmac-sha256", "salt": ""});
        assert_eq!(with(module("pbkdf2", none)), KeystoreError::Parameter("kdf.params.c"));
        let uneven = serde_json::json!({"dklen": 32, "n": 3, "r": 1, "p": 1, "salt": ""});
        assert_eq!(
            with(module("scrypt", uneven)),
            KeystoreError::Parameter("kdf.params n, r and p")
        );
        let odd = serde_json::json!({"dklen": 32, "salt": ""});
        assert_eq!(
            with(module("argon2", odd)),
            KeystoreError::Function {
                part: "kdf",
                function: "argon2".into()
            }
        );
        assert_eq!(
            Keystore::from_json(&vec![b' '; MAX_FILE + 1]).unwrap_err(),
            KeystoreError::TooLarge(MAX_FILE + 1)
        );
    }
}
