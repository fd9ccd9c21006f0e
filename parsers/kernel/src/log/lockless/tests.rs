//! The reader against a model of the kernel's writer (`data_alloc()`, `data_push_tail()`, `get_data()` of
//! kernel/printk/printk_ringbuffer.c), with both rules for blocks at the end of the ring.

use crate::synthetic::{BASE, Memory};

const RING: u64 = BASE + 0x10000;
const DESCS: u64 = BASE + 0x11000;
const INFOS: u64 = BASE + 0x12000;
const DATA: u64 = BASE + 0x14000;
const VARIABLE: u64 = BASE + 0x15000;
const COUNT_BITS: u32 = 5;
const SIZE_BITS: u32 = 10;

fn vmcoreinfo() -> String {
    format!(
        "SYMBOL(prb)={VARIABLE:x}\nOFFSET(printk_ringbuffer.desc_ring)=0\nOFFSET(printk_ringbuffer.text_data_ring)=48\n\
         OFFSET(prb_desc_ring.count_bits)=0\nOFFSET(prb_desc_ring.descs)=8\nOFFSET(prb_desc_ring.infos)=16\n\
         OFFSET(prb_desc_ring.head_id)=24\nOFFSET(prb_desc_ring.tail_id)=32\nSIZE(prb_desc)=24\n\
         OFFSET(prb_desc.state_var)=0\nOFFSET(prb_desc.text_blk_lpos)=8\nOFFSET(prb_data_blk_lpos.begin)=0\n\
         OFFSET(prb_data_blk_lpos.next)=8\nSIZE(printk_info)=88\nOFFSET(printk_info.seq)=0\n\
         OFFSET(printk_info.ts_nsec)=8\nOFFSET(printk_info.text_len)=16\nOFFSET(printk_info.caller_id)=20\n\
         OFFSET(prb_data_ring.size_bits)=0\nOFFSET(prb_data_ring.data)=8\n"
    )
}

/// Which kernels' rule for a block that ends exactly at the end of the ring.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Rule {
    /// Up to 6.17: it is moved to the start.
    Moves,
    /// 67e1b0052f6b, 6.18: it stays.
    Stays,
}

struct Writer {
    memory: Memory,
    rule: Rule,
    head_id: u64,
    tail_id: u64,
    head_lpos: u64,
    tail_lpos: u64,
    /// Descriptor id, next position, sequence number and text of what the ring should hold.
    held: Vec<(u64, u64, u64, Vec<u8>)>,
    wrapped: Vec<u64>,
    fitting: Vec<u64>,
}

const ID_MASK: u64 = !(3 << 62);

impl Writer {
    fn new(rule: Rule, id_bits: u32) -> Writer {
        let memory = Memory::new();
        memory.put64(VARIABLE, RING);
        memory.put32(RING, COUNT_BITS);
        memory.put64(RING + 8, DESCS);
        memory.put64(RING + 16, INFOS);
        memory.put32(RING + 48, SIZE_BITS);
        memory.put64(RING + 56, DATA);
        memory.put(DATA, &[0; 1 << SIZE_BITS]);
        memory.put(DESCS, &[0; 24 << COUNT_BITS]);
        memory.put(INFOS, &[0; 88 << COUNT_BITS]);
        let id = 0u64.wrapping_sub((1 << COUNT_BITS) + 1) & ID_MASK & ((1u128 << id_bits) - 1) as u64;
        let lpos = 0u64.wrapping_sub(1 << SIZE_BITS);
        // As in a young ring: the tail is a reusable descriptor without text.
        let writer = Writer {
            memory,
            rule,
            head_id: id,
            tail_id: id,
            head_lpos: lpos,
            tail_lpos: lpos,
            held: vec![(id, lpos, 0, Vec::new())],
            wrapped: Vec::new(),
            fitting: Vec::new(),
        };
        writer.desc(id, 3, 1, 1);
        writer
    }

    fn slot(id: u64) -> u64 {
        id & ((1 << COUNT_BITS) - 1)
    }

    fn desc(&self, id: u64, state: u64, begin: u64, next: u64) {
        let at = DESCS + Self::slot(id) * 24;
        self.memory.put64(at, state << 62 | id & ID_MASK);
        self.memory.put64(at + 8, begin);
        self.memory.put64(at + 16, next);
    }

    fn drop_tail(&mut self) {
        let (id, next, _, text) = self.held.remove(0);
        if !text.is_empty() {
            self.tail_lpos = next;
        }
        let at = DESCS + Self::slot(id) * 24;
        self.memory.put64(at, 3 << 62 | id & ID_MASK);
        self.tail_id = (id + 1) & ID_MASK;
    }

    fn write(&mut self, seq: u64, text: &[u8]) {
        let id = (self.head_id + 1) & ID_MASK;
        while self.held.len() >= (1 << COUNT_BITS) {
            self.drop_tail();
        }
        let (mut begin, mut next) = (3, 3);
        if !text.is_empty() {
            let size = (text.len() as u64 + 8).next_multiple_of(8);
            begin = self.head_lpos;
            next = begin.wrapping_add(size);
            let last = if self.rule == Rule::Moves { next } else { next.wrapping_sub(1) };
            let wraps = begin >> SIZE_BITS != last >> SIZE_BITS;
            if wraps {
                next = (next >> SIZE_BITS << SIZE_BITS).wrapping_add(size);
            }
            let keep = next.wrapping_sub(1 << SIZE_BITS);
            while self.tail_lpos.wrapping_sub(keep) as i64 <= -1 {
                self.drop_tail();
            }
            let mask = (1u64 << SIZE_BITS) - 1;
            let at = if wraps {
                self.memory.put64(DATA + (begin & mask), id);
                self.wrapped.push(seq);
                0
            } else {
                if next & mask == 0 {
                    self.fitting.push(seq);
                }
                begin & mask
            };
            self.memory.put64(DATA + at, id);
            self.memory.put(DATA + at + 8, text);
            self.head_lpos = next;
        }
        self.desc(id, 2, begin, next);
        let info = INFOS + Self::slot(id) * 88;
        self.memory.put64(info, seq);
        self.memory.put64(info + 8, seq * 1000);
        self.memory.put(info + 16, &(text.len() as u16).to_le_bytes());
        self.memory.put(info + 18, &[0, 6 << 5]);
        self.memory.put32(info + 20, 0x8000_0001);
        self.head_id = id;
        self.held.push((id, next, seq, text.to_vec()));
        self.memory.put64(RING + 24, self.head_id);
        self.memory.put64(RING + 32, self.tail_id);
    }
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Every record the ring holds is read, whole, wherever it lies: wrapped at the end of the ring (another tool
/// prints the id's bytes before such a text and loses its end) and fitting its end exactly (others print the text
/// of a foreign record).
#[test]
fn every_record_of_a_turning_ring_is_read() {
    for (rule, id_bits) in [(Rule::Moves, 32), (Rule::Moves, 64), (Rule::Stays, 64)] {
        let (mut wrapped, mut fitting) = (0, 0);
        for seed in 0..60u64 {
            let mut state = seed * 7919 + 1;
            let mut writer = Writer::new(rule, id_bits);
            let records = 20 + random(&mut state) % 60;
            for seq in 0..records {
                let len = random(&mut state) % 120;
                let text: Vec<u8> = (0..len).map(|n| b'a' + ((seq + n) % 26) as u8).collect();
                writer.write(seq, &text);
            }
            let log = writer.memory.kernel(&vmcoreinfo()).log();
            assert_eq!(log.gaps, [], "seed {seed}");
            let read: Vec<_> = log.records.iter().map(|r| (r.seq, r.text.clone())).collect();
            let held: Vec<_> = writer.held.iter().map(|(_, _, seq, text)| (*seq, text.clone())).collect();
            // The young ring's reusable first descriptor is no record.
            let held = if read.len() < held.len() { &held[1..] } else { &held[..] };
            assert_eq!(read, held, "{rule:?}, seed {seed}");
            let kept = |seq: &&u64| read.iter().any(|(s, _)| s == *seq);
            wrapped += writer.wrapped.iter().filter(kept).count();
            fitting += writer.fitting.iter().filter(kept).count();
            assert_eq!(log.records.last().map(|r| (r.level, r.caller)), Some((6, Some(super::Caller::Cpu(1)))));
        }
        assert!(wrapped > 10, "no wrapped record was tested");
        assert_eq!(fitting > 0, rule == Rule::Stays, "{fitting} fitting records");
    }
}

#[test]
fn a_damaged_ring_gives_what_is_left_and_says_so() {
    let mut writer = Writer::new(Rule::Stays, 64);
    for seq in 0..20 {
        writer.write(seq, format!("record {seq}").as_bytes());
    }
    let (id, ..) = writer.held[5];
    // An id that is not its own, positions that no writer makes, a head far away.
    writer.memory.put64(DESCS + Writer::slot(id) * 24, 7);
    writer.memory.put64(DESCS + Writer::slot(id + 1) * 24 + 8, 5);
    let log = writer.memory.kernel(&vmcoreinfo()).log();
    assert_eq!(log.records.len(), 18);
    assert_eq!(log.gaps.len(), 1, "{:?}", log.gaps);
    writer.memory.put64(RING + 24, 0x1234_5678);
    let log = writer.memory.kernel(&vmcoreinfo()).log();
    assert!(log.records.is_empty() && !log.gaps.is_empty());
    writer.memory.put32(RING, 60);
    let log = writer.memory.kernel(&vmcoreinfo()).log();
    assert_eq!(log.gaps.len(), 1, "{:?}", log.gaps);
}
