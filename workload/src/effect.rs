//! What a pipeline makes of a message: the same message, with where it came from in its header, so that each output tells
//! its input. A message that is not ackmark's is given a header of its own in front.

use ackmark_schema::record::{Decoded, HEADER_WITH_SOURCE_LEN, Header, Source, body_checksum};
use rdkafka::message::{BorrowedMessage, Message as _};

/// The output of a message, written over what `value` holds.
pub(crate) fn output(message: &BorrowedMessage<'_>, value: &mut Vec<u8>) {
    let input = message.payload().unwrap_or_default();
    let source = Source { partition: message.partition().cast_unsigned(), offset: message.offset().cast_unsigned() };
    write(input, source, value);
}

fn write(input: &[u8], source: Source, value: &mut Vec<u8>) {
    let (header, body) = match Header::decode(input) {
        Decoded::Ours(header) => {
            let length = header.encoded_len();
            (header, &input[length..])
        }
        // Its id is where it came from.
        Decoded::Stranger | Decoded::Corrupt(_) => (stranger(source), input),
    };
    value.clear();
    value.resize(HEADER_WITH_SOURCE_LEN, 0);
    value.extend_from_slice(body);
    Header { source: Some(source), ..header }.encode(value, body_checksum(body));
}

fn stranger(source: Source) -> Header {
    Header {
        run: 0,
        stream: source.partition,
        sequence: source.offset,
        attempt: 0,
        incarnation: 0,
        transaction: 0,
        intended_ns: 0,
        send_delay_us: 0,
        sentinel: false,
        warm_up: false,
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use ackmark_schema::record::HEADER_LEN;

    use super::*;

    #[test]
    fn an_output_tells_its_input_and_keeps_the_rest() {
        let source = Source { partition: 3, offset: 70 };
        let sent = Header { sequence: 9, run: 5, source: None, ..stranger(source) };
        let mut input = vec![0; HEADER_LEN];
        input.extend_from_slice(b"body");
        sent.encode(&mut input, body_checksum(b"body"));
        let mut value = Vec::new();
        write(&input, source, &mut value);
        assert_eq!(Header::decode(&value), Decoded::Ours(Header { source: Some(source), ..sent }));
        assert_eq!(&value[HEADER_WITH_SOURCE_LEN..], b"body");
        // Once more through a pipeline: where it came from last.
        let again = Source { partition: 1, offset: 2 };
        let mut twice = Vec::new();
        write(&value, again, &mut twice);
        assert_eq!(Header::decode(&twice), Decoded::Ours(Header { source: Some(again), ..sent }));
        write(b"hello", source, &mut value);
        assert_eq!(Header::decode(&value), Decoded::Ours(Header { source: Some(source), ..stranger(source) }));
    }
}
