use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn control(name: &str, value: Vec<u8>) -> Control {
    let raw = RawControl {
        ctype: name.to_owned(),
        crit: false,
        val: Some(value),
    };
    Control(None, raw)
}

fn set(deleted: bool, uuids: &[SyncUuid]) -> Vec<u8> {
    let members: Vec<u8> = (uuids.iter())
        .flat_map(|uuid| ber::element(ber::OCTET_STRING, uuid))
        .collect();
    let mut content = ber::element(ber::OCTET_STRING, b"cookie");
    if deleted {
        content.extend(ber::element(ber::BOOLEAN, &[0xff]));
    }
    content.extend(ber::element(ber::SET, &members));
    ber::element(0xa3, &content)
}

#[test]
fn the_request_is_as_rfc_4533_writes_it() {
    let control = request(Mode::RefreshAndPersist, Some(b"rid=000"));
    assert!(control.crit);
    assert_eq!(control.val, Some(hex("30 0c 0a0103 0407 7269643d303030")));
    assert_eq!(
        request(Mode::RefreshOnly, None).val,
        Some(hex("30 03 0a0101"))
    );
}

#[test]
fn sync_info_is_read_in_all_its_forms() {
    // As OpenLDAP and 389-ds send them: `refreshDone` is left out and means TRUE.
    let table = [
        ("8003 616263", Message::NewCookie(b"abc".to_vec())),
        (
            "a105 0403 616263",
            Message::PhaseEnd {
                present: false,
                refreshed: true,
                cookie: Some(b"abc".to_vec()),
            },
        ),
        (
            "a100",
            Message::PhaseEnd {
                present: false,
                refreshed: true,
                cookie: None,
            },
        ),
        (
            "a203 010100",
            Message::PhaseEnd {
                present: true,
                refreshed: false,
                cookie: None,
            },
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(info(&hex(bytes)), Some(expected), "{bytes}");
    }
    let uuids = vec![[1; 16], [2; 16]];
    for deleted in [true, false] {
        let cookie = Some(b"cookie".to_vec());
        let expected = Message::Set {
            deleted,
            uuids: uuids.clone(),
            cookie,
        };
        assert_eq!(info(&set(deleted, &uuids)), Some(expected));
    }
    for bytes in [
        "",
        "80",
        "a4 00",
        "a303 310104",
        "a305 3103 040161",
        "a104 0102 0000",
    ] {
        assert_eq!(info(&hex(bytes)), None, "{bytes}");
    }
}

#[test]
fn an_entry_without_its_state_and_a_result_without_done_are_errors() {
    let entry = || {
        Item::Entry(RawEntry {
            dn: b"cn=x".to_vec(),
            attributes: Vec::new(),
        })
    };
    assert_eq!(
        message(entry(), &[]).unwrap_err().part,
        "Sync State control"
    );
    assert_eq!(done(&[]).unwrap_err().part, "Sync Done control");
    let value = hex("3018 0a0101 0410 000102030405060708090a0b0c0d0e0f 0401 63").clone();
    // The length of the outer sequence counts: one byte less cuts the cookie.
    let mut cut = value.clone();
    cut[1] = 0x16;
    assert!(message(entry(), &[control(STATE, cut)]).is_err());
    let mut whole = value;
    whole[1] = u8::try_from(whole.len() - 2).unwrap();
    let Message::Entry {
        state,
        uuid,
        cookie,
        ..
    } = message(entry(), &[control(STATE, whole)]).unwrap()
    else {
        panic!("no entry");
    };
    assert_eq!(
        (state, uuid[15], cookie),
        (State::Changed, 15, Some(b"c".to_vec()))
    );
    for number in [4, 0xff] {
        let mut value = hex("3015 0a0101 0410 000102030405060708090a0b0c0d0e0f");
        value[4] = number;
        assert!(message(entry(), &[control(STATE, value)]).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in any::<Vec<u8>>()) {
        let _ = info(&bytes);
        let _ = state(&bytes);
        let _ = done(&[control(DONE, bytes)]);
    }

    #[test]
    fn a_message_with_one_byte_changed_or_cut_is_refused_or_read(at in 0usize..70, byte in any::<u8>(), cut in 0usize..70) {
        for whole in [set(true, &[[1; 16], [2; 16]]), hex("a107 0402 6162 010100"), hex("3016 0a0101 0410 000102030405060708090a0b0c0d0e0f 0400")] {
            let mut bytes = whole.clone();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _ = state(&bytes);
            let _ = done(&[control(DONE, bytes.clone())]);
            if let Some(Message::Set { uuids, .. }) = info(&bytes) {
                prop_assert!(uuids.len() <= length / 18);
            }
        }
    }
}
