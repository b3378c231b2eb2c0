#include "textflag.h"

// Which errors the high half of a byte, its low half, and the high half of the byte behind it are part of, a bit
// for each kind:
//
//	01 a lead that no continuation follows      10 a surrogate, ED A0 and above
//	02 a continuation behind ASCII              20 two bytes where one will do, C0 and C1
//	04 three bytes where two will do, E0 80     40 four where three will do, F0 80; F5 80 and above
//	08 too large, F4 90 and above               80 two continuations in a row

DATA high<>+0(SB)/8, $0x0202020202020202
DATA high<>+8(SB)/8, $0x4915012180808080
GLOBL high<>(SB), RODATA|NOPTR, $16

DATA low<>+0(SB)/8, $0xcbcbcb8b8383a3e7
DATA low<>+8(SB)/8, $0xcbcbdbcbcbcbcbcb
GLOBL low<>(SB), RODATA|NOPTR, $16

DATA next<>+0(SB)/8, $0x0101010101010101
DATA next<>+8(SB)/8, $0x01010101babaaee6
GLOBL next<>(SB), RODATA|NOPTR, $16

// The largest bytes with which a block may end: at the end no lead, before it none of three bytes, before that none of
// four.
DATA ends<>+0(SB)/8, $0xffffffffffffffff
DATA ends<>+8(SB)/8, $0xffffffffffffffff
DATA ends<>+16(SB)/8, $0xffffffffffffffff
DATA ends<>+24(SB)/8, $0xbfdfefffffffffff
GLOBL ends<>(SB), RODATA|NOPTR, $32

DATA nibble<>+0(SB)/8, $0x0f0f0f0f0f0f0f0f
GLOBL nibble<>(SB), RODATA|NOPTR, $8
DATA three<>+0(SB)/8, $0x6060606060606060
GLOBL three<>(SB), RODATA|NOPTR, $8
DATA four<>+0(SB)/8, $0x7070707070707070
GLOBL four<>(SB), RODATA|NOPTR, $8
DATA top<>+0(SB)/8, $0x8080808080808080
GLOBL top<>(SB), RODATA|NOPTR, $8

// CHECK adds to Y8 the errors of the block in Y0, before which stands that in Y7. Y2, Y3 and Y4 get the bytes one, two
// and three before each. Where that two before leads three bytes, or that three before four, there have to be two
// continuations in a row, and nowhere else.
#define CHECK \
	VPERM2I128 $0x21, Y0, Y7, Y1 \
	VPALIGNR   $15, Y1, Y0, Y2   \
	VPALIGNR   $14, Y1, Y0, Y3   \
	VPALIGNR   $13, Y1, Y0, Y4   \
	VPSRLW     $4, Y2, Y5        \
	VPAND      Y15, Y5, Y5       \
	VPSHUFB    Y5, Y14, Y5       \
	VPAND      Y15, Y2, Y2       \
	VPSHUFB    Y2, Y13, Y2       \
	VPSRLW     $4, Y0, Y1        \
	VPAND      Y15, Y1, Y1       \
	VPSHUFB    Y1, Y12, Y1       \
	VPAND      Y5, Y2, Y2        \
	VPAND      Y2, Y1, Y1        \
	VPSUBUSB   Y11, Y3, Y3       \
	VPSUBUSB   Y10, Y4, Y4       \
	VPOR       Y3, Y4, Y4        \
	VPAND      Y9, Y4, Y4        \
	VPXOR      Y1, Y4, Y4        \
	VPOR       Y4, Y8, Y8        \
	VMOVDQA    Y0, Y7

// func validBlocks(p *byte, n int) bool
TEXT ·validBlocks(SB), NOSPLIT, $0-17
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTI128 high<>(SB), Y14
	VBROADCASTI128 low<>(SB), Y13
	VBROADCASTI128 next<>(SB), Y12
	VPBROADCASTQ nibble<>(SB), Y15
	VPBROADCASTQ three<>(SB), Y11
	VPBROADCASTQ four<>(SB), Y10
	VPBROADCASTQ top<>(SB), Y9
	VMOVDQU ends<>(SB), Y6
	VPXOR Y8, Y8, Y8
	VPXOR Y7, Y7, Y7

ascii:
	CMPQ CX, $128
	JLT  blocks
	VMOVDQU (SI), Y0
	VMOVDQU 64(SI), Y2
	VPOR 32(SI), Y0, Y1
	VPOR 96(SI), Y2, Y2
	VPOR Y2, Y1, Y1
	VPMOVMSKB Y1, AX
	TESTL AX, AX
	JNE  block
	VPSUBUSB Y6, Y7, Y7
	VPOR Y7, Y8, Y8
	VPXOR Y7, Y7, Y7
	ADDQ $128, SI
	SUBQ $128, CX
	JMP  ascii

blocks:
	TESTQ CX, CX
	JEQ  done
	VMOVDQU (SI), Y0

block:
	CHECK
	VMOVDQU 32(SI), Y0
	CHECK
	ADDQ $64, SI
	SUBQ $64, CX
	JMP  ascii

done:
	VPTEST Y8, Y8
	SETEQ ret+16(FP)
	VZEROUPPER
	RET

// func maskBlocks(dst, src *byte, n int, key uint64)
TEXT ·maskBlocks(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VPBROADCASTQ key+24(FP), Y0
	ADDQ CX, SI
	ADDQ CX, DI
	NEGQ CX

more:
	VPXOR (SI)(CX*1), Y0, Y1
	VPXOR 32(SI)(CX*1), Y0, Y2
	VPXOR 64(SI)(CX*1), Y0, Y3
	VPXOR 96(SI)(CX*1), Y0, Y4
	VMOVDQU Y1, (DI)(CX*1)
	VMOVDQU Y2, 32(DI)(CX*1)
	VMOVDQU Y3, 64(DI)(CX*1)
	VMOVDQU Y4, 96(DI)(CX*1)
	ADDQ $128, CX
	JNE more
	VZEROUPPER
	RET

// func hasAVX2() bool
TEXT ·hasAVX2(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JLT  no
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $0x18000000, CX // the system saves registers, AVX
	CMPL CX, $0x18000000
	JNE  no
	XORL CX, CX
	XGETBV
	ANDL $6, AX // those of AVX, too
	CMPL AX, $6
	JNE  no
	MOVL $7, AX
	XORL CX, CX
	CPUID
	SHRL $5, BX
	ANDL $1, BX
	MOVB BX, ret+0(FP)
no:
	RET
