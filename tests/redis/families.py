"""What the golden transcripts ask: one script per family, in redis-cli's quoting.

A line is a request; `?matcher request` loosens the comparison (see transcript.py: int:LOW:HIGH, set,
scan, any, close); `!wait MS` waits; `>> bytes` sends raw bytes. Each part runs on a connection of its
own and begins with FLUSHALL. Scripts avoid what is left to chance: the clock, SCAN order, RANDOMKEY.
"""
import random

import families_door as door_scripts


class Family:
    def __init__(self, *parts, door=False):
        self.parts = [p.strip().split("\n") if isinstance(p, str) else p for p in parts]
        self.door = door


FAR = "33177117420000"  # year 3021, in milliseconds

strings = """
GET k
SET k v
GET k
GETSET k w
GET k
GETSET missing x
GET missing
SETNX k no
SETNX new yes
MGET k new nothing k
MSET a 1 b 2 a 3
MGET a b
MSETNX a 9 c 9
GET c
MSETNX c 1 d 2 c 3
MGET c d
MSET a 1 b
MSETNX a 1 b
GETDEL k
GETDEL k
GET k
EXISTS k
SET empty ""
GET empty
STRLEN empty
SET bin "\\x00\\xff\\r\\n\\"\\\\"
GET bin
SET "" "empty key"
GET ""
EXISTS ""
DEL ""
SET "key with spaces" 1
GET "key with spaces"
SETEX t 100 v
TTL t
GET t
SETEX t 0 v
SETEX t -1 v
SETEX t x v
SETEX t 9223372036854775807 v
SETEX t 9223372036854775 v
SETEX t 1.5 v
PSETEX t 100000 w
TTL t
PSETEX t 0 v
PSETEX t -5 v
PSETEX t abc v
PSETEX t 9223372036854775807 v
GET t
SET t plain
TTL t
SETEX t 100 v
GETSET t w
TTL t
SETEX t 100 v
MSET t w
TTL t
SETEX t 100 v
SETNX t w
TTL t
GET
GET a b
SET
SET k
MGET
MSET
MSET k
MSETNX
GETSET k
SETNX k
SETEX k 1
PSETEX k 1
GETDEL
STRLEN
STRLEN a b
"""

set_options = """
SET k v NX
SET k w NX
GET k
SET k w XX
GET k
SET none w XX
GET none
SET k v nx xx
SET k v XX NX
SET k v NX NX
SET k2 v NX NX
SET k x GET
SET fresh x GET
GET fresh
SET k y GET NX
GET k
SET absent y NX GET
GET absent
SET k z XX GET
SET nothing z XX GET
GET nothing
SET k v EX 100
TTL k
SET k v PX 100000
TTL k
SET k v
TTL k
SET k v EX 100
SET k w KEEPTTL
TTL k
GET k
SET k w KEEPTTL EX 10
SET k w EX 10 KEEPTTL
SET k w EX 10 PX 10
SET k w PX 10 EX 10
SET k w EX 10 EXAT 10
SET k w EXAT 10 PXAT 10
SET k w EX 10 EX 200
TTL k
SET k w KEEPTTL KEEPTTL
TTL k
SET k w KEEPTTL GET
SET new w KEEPTTL
TTL new
SET k v PXAT """ + FAR + """
PEXPIRETIME k
EXPIRETIME k
SET k v EXAT 33177117420
PEXPIRETIME k
SET k v EXAT 33177117420 KEEPTTL
SET k v EX
SET k v PX
SET k v EXAT
SET k v PXAT
SET k v EX abc
SET k v EX 1.5
SET k v EX 0
SET k v EX -1
SET k v PX 0
SET k v PX -1
SET k v EXAT 0
SET k v EXAT -1
SET k v PXAT 0
SET k v PXAT -9
SET k v EX 9223372036854775807
SET k v EX 9223372036854775
SET k v EX 9223372036854776
SET k v PX 9223372036854775807
SET k v EXAT 9223372036854775807
SET k v EX 99999999999999999999
GET k
SET k v BOGUS
SET k v NX BOGUS
SET k v PERSIST
SET k v EX 10 NX
SET free v EX 10 NX
TTL free
SET k old
SET k v NX EX 0
SET k v XX EX 100
TTL k
SET k v NX GET EX 5
TTL k
SET k v PX 10 GET BOGUS
SET k v EX 10 nx GeT
# in the past: the key is written, and gone
SET gone v PXAT 1
GET gone
EXISTS gone
SET gone v EXAT 1 GET
GET gone
SET gone v EXAT 1000
SET gone w KEEPTTL
TTL gone
GET gone
SET gone2 v PXAT 1000
SET gone2 v XX
SET gone2 v NX
GET gone2
SET gone3 v PXAT 1000
SET gone3 v GET
GETEX k
GETEX missing
GETEX k EX 100
TTL k
GETEX k PERSIST
TTL k
GETEX k PX 100000
TTL k
GETEX k EXAT 33177117420
PEXPIRETIME k
GETEX k PXAT """ + FAR + """
PEXPIRETIME k
GETEX k
PEXPIRETIME k
GETEX k EX 10 PERSIST
GETEX k PERSIST EX 10
GETEX k KEEPTTL
GETEX k NX
GETEX k GET
GETEX k BOGUS
GETEX k EX
GETEX k EX 0
GETEX k EX -1
GETEX k EX abc
GETEX missing EX abc
GETEX missing EX 0
GETEX missing BOGUS
GETEX k EX 10 EX 300
TTL k
GETEX k EX 10 PX 10
GETEX k PERSIST PERSIST
TTL k
GETEX k PXAT 1
GET k
EXISTS k
SET k v
GETEX k EXAT 1
GET k
GETEX
"""

counters = """
INCR n
INCR n
DECR n
INCRBY n 40
DECRBY n 1
GET n
INCRBY n -100
DECRBY n -5
GET n
SET n 9223372036854775807
INCR n
INCRBY n 1
GET n
DECR n
SET n -9223372036854775808
DECR n
DECRBY n 1
INCRBY n -1
INCR n
DECRBY n -9223372036854775808
INCRBY n 9223372036854775807
INCRBY n 9223372036854775808
INCRBY n abc
INCRBY n 1.5
INCRBY n ""
INCRBY n " 1"
INCRBY n "1 "
INCRBY n +1
INCRBY n -0
INCRBY n 01
SET s abc
INCR s
DECR s
INCRBY s 1
SET s 010
INCR s
SET s " 10"
INCR s
SET s "10 "
INCR s
SET s ""
INCR s
SET s 1.0
INCR s
SET s -1
INCR s
INCR s
SET s 99999999999999999999
INCR s
SET s 123456789012345678901234567890
INCR s
SETEX t 100 5
INCR t
TTL t
DECRBY t 10
TTL t
SET gone 7 PXAT 1000
INCR gone
TTL gone
SET gone 7 PXAT 1000
DECR gone
SET gone 7 PXAT 1000
INCRBYFLOAT gone 1.5
INCRBYFLOAT f 1.5
INCRBYFLOAT f 1.5
INCRBYFLOAT f -3
INCRBYFLOAT f 0.1
INCRBYFLOAT f 0.2
INCRBYFLOAT f 1e3
INCRBYFLOAT f -1e-3
GET f
SET f 3.0e3
INCRBYFLOAT f 200
SET f 10.50
INCRBYFLOAT f 0.1
SET f 5.0e3
INCRBYFLOAT f 2.0e2
SET f 1
INCRBYFLOAT f 3.0
GET f
INCR f
SET f " 1"
INCRBYFLOAT f 1
SET f "1 "
INCRBYFLOAT f 1
SET f ""
INCRBYFLOAT f 1
SET f abc
INCRBYFLOAT f 1
SET f 1
INCRBYFLOAT f abc
INCRBYFLOAT f ""
INCRBYFLOAT f " 1"
INCRBYFLOAT f "1 "
INCRBYFLOAT f nan
INCRBYFLOAT f inf
INCRBYFLOAT f -inf
INCRBYFLOAT f infinity
INCRBYFLOAT f 0x10
INCRBYFLOAT f 1e400
SET f 1
INCRBYFLOAT f 1e-400
INCRBYFLOAT f 1e-5000
SET f 0
INCRBYFLOAT f -0
INCRBYFLOAT f 1e-17
INCRBYFLOAT f 1e-18
SET f 0
INCRBYFLOAT f -0.000000000000000001
SET f 179769313486231570000000000000000
INCRBYFLOAT f 1
SET f 1e300
INCRBYFLOAT f 1e300
SET f 12345678901234567890
INCRBYFLOAT f 0.5
SET f 0.1
INCRBYFLOAT f 0.2
INCRBYFLOAT f 0.3
SET f 3.14159265358979323846
INCRBYFLOAT f 2.71828182845904523536
SET f 100
INCRBYFLOAT f -100.000000001
INCRBYFLOAT f 1e17
INCRBYFLOAT f 1e-10
SETEX t 100 5
INCRBYFLOAT t 1.25
TTL t
INCR
INCR a b
DECR
INCRBY n
INCRBY n 1 2
DECRBY n
INCRBYFLOAT n
"""

ranges = """
APPEND k hello
APPEND k " world"
GET k
STRLEN k
APPEND k ""
APPEND fresh ""
EXISTS fresh
GET fresh
SETEX t 100 a
APPEND t b
TTL t
SET gone old PXAT 1000
APPEND gone new
GET gone
TTL gone
GETRANGE k 0 4
GETRANGE k -5 -1
GETRANGE k 0 -1
GETRANGE k 6 100
GETRANGE k 100 200
GETRANGE k 5 2
GETRANGE k -1 -5
GETRANGE k -100 2
GETRANGE k -100 -50
GETRANGE k -100 -200
GETRANGE k 0 0
GETRANGE k 0 -100
GETRANGE k 3 -100
GETRANGE k -1 0
GETRANGE k 9223372036854775807 -1
GETRANGE k -9223372036854775808 9223372036854775807
GETRANGE missing 0 -1
GETRANGE fresh 0 -1
GETRANGE k a 1
GETRANGE k 1 b
GETRANGE k 1.5 2
GETRANGE missing a b
SUBSTR k 0 4
SUBSTR k -5 -1
SUBSTR missing 0 1
SUBSTR k x 1
SUBSTR k 1
SET n 12345
GETRANGE n 1 3
SETRANGE k 6 redis
GET k
SETRANGE k 20 x
GET k
SETRANGE new 5 abc
GET new
SETRANGE none 0 ""
EXISTS none
SETRANGE none 100 ""
SETRANGE k 0 ""
SETRANGE k -1 x
SETRANGE k abc x
SETRANGE none -1 ""
SETRANGE k 16777216 x
SETRANGE k 16777215 ""
SETRANGE missing 16777216 x
SETRANGE k 9223372036854775807 x
SETRANGE k 9223372036854775808 x
SETRANGE k 4611686018427387904 x
STRLEN k
SETRANGE edge 16777215 x
STRLEN edge
APPEND edge x
SETRANGE edge 16777215 xy
DEL edge
SETEX t 100 hello
SETRANGE t 1 EL
TTL t
GET t
SET n 10
SETRANGE n 1 5
INCR n
SET gone old PXAT 1000
SETRANGE gone 1 x
GET gone
STRLEN missing
APPEND k
APPEND k a b
GETRANGE k 0
GETRANGE k 0 1 2
SETRANGE k 0
SETRANGE k 0 a b
"""

lcs = """
SET a ohmytext
SET b mynewtext
LCS a b
LCS a b LEN
LCS a b IDX
LCS a b IDX MINMATCHLEN 4
LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN
LCS a b IDX WITHMATCHLEN
LCS a b IDX MINMATCHLEN 0
LCS a b IDX MINMATCHLEN -3
LCS a b IDX MINMATCHLEN 100
LCS a b MINMATCHLEN 4
LCS a b WITHMATCHLEN
LCS a b LEN WITHMATCHLEN MINMATCHLEN 2
LCS a b LEN IDX
LCS a b idx len
LCS a b BOGUS
LCS a b MINMATCHLEN
LCS a b MINMATCHLEN x
LCS a b IDX LEN BOGUS
LCS a missing
LCS missing b
LCS missing nothing
LCS missing nothing LEN
LCS missing nothing IDX
LCS a missing IDX WITHMATCHLEN
LCS a a
LCS a a IDX
LCS a a IDX WITHMATCHLEN
SET x abcabcabc
SET y cbacbacba
LCS x y
LCS x y IDX WITHMATCHLEN
LCS y x IDX WITHMATCHLEN
SET x CACCCCCGCACTCTTTCTCAGAAACAGCAGCAGCAAAGGCC
SET y CACCCTTTCTCAGAAACATCAGCAGCAGCAGGCACCCCAGCC
LCS x y
LCS x y LEN
LCS x y IDX
LCS x y IDX MINMATCHLEN 5
LCS x y IDX WITHMATCHLEN
LCS y x IDX WITHMATCHLEN
SET x aaaa
SET y aa
LCS x y IDX WITHMATCHLEN
LCS y x IDX WITHMATCHLEN
SET x abc
SET y xyz
LCS x y
LCS x y IDX
SET x "a\\x00b"
SET y "\\x00b\\xff"
LCS x y
SET n 12345
LCS n n
SET gone abc PXAT 1000
LCS gone gone
SETRANGE big1 3000 x
SETRANGE big2 3000 x
LCS big1 big2 LEN
SETRANGE row 2097150 x
SET one x
LCS row one LEN
SETRANGE row 2097151 x
LCS row one LEN
LCS a
LCS
"""

keys = """
DEL a
SET a 1
SET b 2
DEL a b c a
MSET a 1 b 2 c 3
EXISTS a
EXISTS a b nothing a
UNLINK a nothing b
EXISTS a b c
TOUCH c nothing c
TYPE c
TYPE nothing
RENAME c d
GET c
GET d
RENAME nothing x
RENAME nothing nothing
RENAME d d
SET e old
RENAME d e
GET e
SETEX t 100 v
RENAME t t2
TTL t2
SETEX t3 50 w
SET plain p
RENAME plain t3
TTL t3
GET t3
RENAMENX t3 free
RENAMENX free t2
GET free
GET t2
RENAMENX nothing x
RENAMENX free free
RENAMENX nothing nothing
SET gone v PXAT 1000
RENAME gone x
SET gone v PXAT 1000
RENAMENX free gone
GET gone
SET src s
SET gone v PXAT 1000
RENAME src gone
TTL gone
GET gone
COPY gone copy
GET copy
COPY gone copy
SET copy other
COPY gone copy REPLACE
GET copy
COPY nothing copy
COPY nothing copy REPLACE
GET copy
COPY copy copy
COPY copy copy REPLACE
COPY copy copy DB 0
COPY copy copy DB 1
COPY copy copy DB 1
COPY copy copy DB 1 REPLACE
COPY copy new DB 16
COPY copy new DB -1
COPY copy new DB x
COPY copy new DB 99999999999
COPY copy new DB
COPY copy new BOGUS
COPY copy new REPLACE REPLACE DB 2 DB 3
SELECT 3
GET new
SELECT 0
SETEX t 100 v
COPY t tc
TTL tc
COPY t tc2 DB 1
SELECT 1
TTL tc2
SELECT 0
SET gone v PXAT 1000
COPY gone x
SET gone v PXAT 1000
COPY t gone
TTL gone
MSET m 1 n 2
MOVE m 1
GET m
MOVE m 1
MOVE n 0
MOVE nothing 0
MOVE nothing 1
MOVE n 16
MOVE n -1
MOVE n x
MOVE n 99999999999
SELECT 1
GET m
SET n other
SELECT 0
MOVE n 1
GET n
MOVE t 1
SELECT 1
TTL t
GET t
EXISTS t m n
SELECT 0
SET gone v PXAT 1000
MOVE gone 2
SET here v
SELECT 2
SET here w PXAT 1000
SELECT 0
MOVE here 2
SELECT 2
GET here
TTL here
SELECT 0
FLUSHALL
RANDOMKEY
SET only 1
RANDOMKEY
SET only 1 PXAT 1000
RANDOMKEY
DEL
UNLINK
EXISTS
TOUCH
TYPE
TYPE a b
RENAME a
RENAME a b c
RENAMENX a
COPY a
MOVE a
MOVE a 1 2
RANDOMKEY x
"""

expiry = """
TTL nothing
PTTL nothing
EXPIRETIME nothing
PEXPIRETIME nothing
PERSIST nothing
EXPIRE nothing 10
SET k v
TTL k
PTTL k
EXPIRETIME k
PEXPIRETIME k
PERSIST k
EXPIRE k 100
TTL k
?int:99000:100000 PTTL k
EXPIRE k 200
TTL k
PERSIST k
TTL k
PEXPIRE k 100000
TTL k
?int:99000:100000 PTTL k
PEXPIRE k 1500
?int:1:2 TTL k
EXPIREAT k 33177117420
EXPIRETIME k
PEXPIRETIME k
PEXPIREAT k 33177117420001
PEXPIRETIME k
EXPIRETIME k
PEXPIREAT k 33177117420500
EXPIRETIME k
PEXPIREAT k 33177117420499
EXPIRETIME k
PERSIST k
EXPIRE k 100 XX
EXPIRE k 100 GT
EXPIRE k 100 NX
EXPIRE k 200 NX
TTL k
EXPIRE k 200 XX
TTL k
EXPIRE k 100 GT
TTL k
EXPIRE k 300 GT
TTL k
EXPIRE k 400 LT
TTL k
EXPIRE k 100 LT
TTL k
PERSIST k
EXPIRE k 100 LT
TTL k
EXPIRE k 200 XX GT
TTL k
EXPIRE k 100 XX LT
TTL k
PERSIST k
EXPIRE k 100 XX LT
EXPIRE k 100 XX GT
TTL k
EXPIREAT k 33177117420 NX
EXPIREAT k 33177117420 GT
EXPIREAT k 33177117420 LT
EXPIREAT k 33177117421 GT
PEXPIREAT k 33177117421000 GT
PEXPIREAT k 33177117421001 GT
PEXPIREAT k 33177117421001 LT
PEXPIREAT k 33177117421000 LT
PEXPIRETIME k
EXPIRE k 100 NX XX
EXPIRE k 100 NX GT
EXPIRE k 100 NX LT
EXPIRE k 100 GT LT
EXPIRE k 100 NX GT LT
EXPIRE k 100 XX GT LT
EXPIRE k 100 BOGUS
EXPIRE k 100 NX BOGUS
EXPIRE k 100 nX nx
EXPIRE k abc
EXPIRE k 1.5
EXPIRE k ""
EXPIRE k abc BOGUS
EXPIRE nothing abc
EXPIRE nothing 100 BOGUS
EXPIRE k 9223372036854775807
EXPIRE k 9223372036854776
EXPIRE k 9223372036854775
EXPIRE k -9223372036854775808
EXPIRE k -9223372036854776
PEXPIRE k 9223372036854775807
PEXPIRE k 9223372036854770000
EXPIREAT k 9223372036854775807
EXPIREAT k 9223372036854776
EXPIREAT k -9223372036854775808
EXPIRE k 9223372036854775808
PEXPIRETIME k
EXPIRE k 0
EXISTS k
SET k v
EXPIRE k -1
EXISTS k
SET k v
PEXPIRE k 0
EXISTS k
SET k v
PEXPIRE k -9223372036854775808
EXISTS k
SET k v
EXPIREAT k 1
EXISTS k
SET k v
PEXPIREAT k 1
EXISTS k
SET k v
EXPIREAT k 0
EXISTS k
SET k v
PEXPIREAT k -1
EXISTS k
SET k v EX 100
EXPIRE k -1 GT
EXISTS k
EXPIRE k -1 NX
EXISTS k
EXPIRE k -1 LT
EXISTS k
SET k v
EXPIRE k -1 LT
EXISTS k
SET k v
EXPIRE k -1 XX
EXISTS k
SET gone v PXAT 1000
TTL gone
PTTL gone
EXPIRETIME gone
SET gone v PXAT 1000
EXPIRE gone 100
EXISTS gone
SET gone v PXAT 1000
PERSIST gone
SET gone v PXAT 1000
EXPIRE gone 100 XX
SET a 1 PXAT 1000
SET b 2
DEL a b
SET a 1 PXAT 1000
EXISTS a
SET a 1 PXAT 1000
TYPE a
SET a 1 PXAT 1000
TOUCH a
SET a 1 PXAT 1000
STRLEN a
SET a 1 PXAT 1000
GETRANGE a 0 -1
SET a 1 PXAT 1000
MGET a b
SET a 1 PXAT 1000
GETDEL a
SET a 1 PXAT 1000
GETEX a PERSIST
SET a 1 PXAT 1000
GETSET a 2
TTL a
SET a 1 PXAT 1000
SETNX a 3
TTL a
SET a 1 PXAT 1000
MSETNX a 5 c 6
TTL a
SET a 1 PXAT 1000
UNLINK a
SET short v PX 30
!wait 60
GET short
EXISTS short
TTL short
SET short v PX 30
!wait 60
SET short v NX
GET short
SET short 5
PEXPIRE short 30
!wait 60
INCR short
TTL short
SET short v PX 30
!wait 60
SET short v XX
SET short v PX 30
!wait 60
GET short
DBSIZE
TTL
PTTL
EXPIRE
EXPIRE k
PEXPIRE k
EXPIREAT k
PEXPIREAT k
EXPIRETIME
PEXPIRETIME
PERSIST
PERSIST a b
"""

scan = """
SCAN 0
KEYS *
DBSIZE
MSET one 1 two 2 three 3 four 4 five 5
DBSIZE
?scan SCAN 0 COUNT 1000
?scan SCAN 0 MATCH t* COUNT 1000
?scan SCAN 0 COUNT 1000 MATCH *e
?scan SCAN 0 COUNT 1000 MATCH * MATCH f*
?scan SCAN 0 COUNT 1000 TYPE string
?scan SCAN 0 COUNT 1000 TYPE STRING
?scan SCAN 0 COUNT 1000 TYPE list
?scan SCAN 0 COUNT 1000 TYPE bogus
?scan SCAN 0 COUNT 1000 TYPE list TYPE string
?scan SCAN 0 COUNT 5 COUNT 1000
?set KEYS *
?set KEYS t*
?set KEYS ?our
KEYS nothing
SET gone v PXAT 1000
?scan SCAN 0 COUNT 1000
SET gone v PXAT 1000
?set KEYS *
SELECT 5
SCAN 0
DBSIZE
SET other 1
?set KEYS *
SELECT 0
SCAN abc
SCAN 1x
SCAN 99999999999999999999999
SCAN "1 "
SCAN " 1"
SCAN 0 COUNT
SCAN 0 COUNT 0
SCAN 0 COUNT -1
SCAN 0 COUNT abc
SCAN 0 COUNT 99999999999999999999
SCAN 0 MATCH
SCAN 0 TYPE
SCAN 0 BOGUS
SCAN 0 BOGUS 1
SCAN 0 MATCH * BOGUS
SCAN x COUNT 0
SCAN
KEYS
KEYS a b
DBSIZE x
"""

glob_keys = [
    "hello", "hallo", "hxllo", "hllo", "heeeello", "h[llo", "h]llo", "h^llo", "h-llo", "h*llo", "h?llo",
    "a", "b", "ab", "abc", "a.c", "a\\\\c", "\\\\", "*", "**", "[", "]", "[]", "[a]", "^", "-", "\\xff",
    "\\x80x", "key:1", "key:22", "KEY:3", "aXbXc", "aXbYc", "mississippi", "\\n", "a b",
]
glob_patterns = [
    "*", "h?llo", "h*llo", "h[ae]llo", "h[^e]llo", "h[a-b]llo", "h[b-a]llo", "h\\\\[llo", "h[[]llo",
    "h[]]llo", "h[^]llo", "h[\\\\]]llo", "h[\\\\^]llo", "h[a\\\\-z]llo", "h[-]llo", "h[a-]llo", "h[--x]llo",
    "h\\\\*llo", "h\\\\?llo", "h**llo", "h?*llo", "?", "??", "???", "[", "[a", "[^", "[^a", "[]", "[a]",
    "\\\\[a]", "\\\\", "a\\\\", "\\\\\\\\", "\\\\a", "a\\\\\\\\c", "*\\\\", "**", "\\\\*", "\\\\**",
    "*a*b*c*", "*ss*ss*", "*iss*ip*", "m*i*s*s*i", "*[0-9]", "key:*", "key:?", "KEY:*", "[k-m]*", "[^k-m]*",
    "a?c", "a.c", "a*c", "*b", "a[", "a[b", "a[bc", "a[b-", "a[b-c", "[!-~]", "[\\xff]", "[\\x80-\\xff]*",
    "[a-\\xff]", "*\\xff", "\\n", "a b", "", "**********a**********", "*[", "*[^", "h[^a-z]llo",
]
glob = (
    ["SET \"%s\" 1" % k for k in glob_keys]
    + ["?set KEYS \"%s\"" % p for p in glob_patterns]
    + ["?scan SCAN 0 COUNT 1000 MATCH \"%s\"" % p for p in glob_patterns[:12]]
)

databases = """
SET k zero
SELECT 1
SET k one
SET l one
SELECT 0
DBSIZE
SWAPDB 0 1
GET k
DBSIZE
SELECT 1
GET k
GET l
DBSIZE
SWAPDB 1 0
GET k
GET l
SWAPDB 1 1
GET k
SWAPDB 0 16
SWAPDB 16 0
SWAPDB -1 0
SWAPDB a 0
SWAPDB 0 b
SWAPDB a b
SWAPDB 99999999999 0
SWAPDB 0 99999999999
SWAPDB 0 15
SELECT 15
GET k
SELECT 0
DBSIZE
FLUSHDB
SELECT 15
GET k
FLUSHDB
GET k
DBSIZE
FLUSHDB
SET k again
GET k
SELECT 1
GET k
FLUSHDB ASYNC
GET k
SET k v EX 100
FLUSHDB SYNC
TTL k
SET k v
FLUSHDB BOGUS
FLUSHDB SYNC ASYNC
FLUSHALL BOGUS
FLUSHALL ASYNC SYNC
GET k
FLUSHALL
GET k
SELECT 15
GET k
SET k v
FLUSHALL async
GET k
SET k v
FLUSHALL Sync
DBSIZE
SWAPDB
SWAPDB 1
SWAPDB 1 2 3
FLUSHDB a b c
"""

object_ = """
SET i 123
OBJECT ENCODING i
SET i -9223372036854775808
OBJECT ENCODING i
SET i 9223372036854775807
OBJECT ENCODING i
SET i 9223372036854775808
OBJECT ENCODING i
SET i 0123
OBJECT ENCODING i
SET i -0
OBJECT ENCODING i
SET i " 1"
OBJECT ENCODING i
SET i ""
OBJECT ENCODING i
SET i 1.5
OBJECT ENCODING i
SET s hello
OBJECT ENCODING s
SET s 12345678901234567890123456789012345678901234
OBJECT ENCODING s
SET s 123456789012345678901234567890123456789012345
OBJECT ENCODING s
SET s abc
APPEND s d
OBJECT ENCODING s
COPY s s2
OBJECT ENCODING s2
RENAME s2 s3
OBJECT ENCODING s3
MOVE s3 1
SELECT 1
OBJECT ENCODING s3
SELECT 0
EXPIRE s 100
OBJECT ENCODING s
PERSIST s
OBJECT ENCODING s
SET n 10
APPEND n 1
OBJECT ENCODING n
INCR n
OBJECT ENCODING n
APPEND fresh 12
OBJECT ENCODING fresh
APPEND fresh2 abc
OBJECT ENCODING fresh2
SETRANGE r 0 12
OBJECT ENCODING r
SET r 12
SETRANGE r 0 3
OBJECT ENCODING r
SET r abc
SETRANGE r 0 ""
OBJECT ENCODING r
INCRBYFLOAT f 3
OBJECT ENCODING f
INCRBYFLOAT f 0.5
OBJECT ENCODING f
INCR c
OBJECT ENCODING c
GETSET c 5
OBJECT ENCODING c
GETSET c x
OBJECT ENCODING c
MSET m 1 o x
OBJECT ENCODING m
OBJECT ENCODING o
SETEX m 100 7
OBJECT ENCODING m
SETNX p 7
OBJECT ENCODING p
OBJECT REFCOUNT s
SET i 123456
OBJECT REFCOUNT i
SET i 100
OBJECT REFCOUNT i
SET i 9999
OBJECT REFCOUNT i
SET i 10000
OBJECT REFCOUNT i
SET i -1
OBJECT REFCOUNT i
?int:0:10 OBJECT IDLETIME s
OBJECT FREQ s
OBJECT ENCODING nothing
OBJECT REFCOUNT nothing
OBJECT IDLETIME nothing
OBJECT FREQ nothing
SET gone v PXAT 1000
OBJECT ENCODING gone
OBJECT
OBJECT BOGUS
OBJECT BOGUS k
OBJECT ENCODING
OBJECT encoding s x
OBJECT REFCOUNT
OBJECT IDLETIME a b
OBJECT FREQ
OBJECT HELP x
"""

unknown = """
NOSUCH
nosuch a b
NoSuch "a b" "" "c\\nd"
"no such"
nosuch aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c d
aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjjkkkkkkkkkkllllllllllmmmmmmmmmm x
nosuch "a\\x00b" c
""
GeT k
sEt k v
gEt k
"""

transactions = """
MULTI
SET a 1
INCR a
GET a
EXEC
MULTI
EXEC
EXEC
DISCARD
MULTI
MULTI
SET b 1
DISCARD
GET b
WATCH a
SET a 5
MULTI
GET a
EXEC
WATCH a
MULTI
GET a
EXEC
WATCH a
UNWATCH
SET a 6
MULTI
GET a
EXEC
MULTI
WATCH a
EXEC
MULTI
NOSUCH x
SET z 1
EXEC
GET z
MULTI
SET z
EXEC
MULTI
SET s abc
INCR s
SET s def
EXEC
GET s
MULTI
PING
SELECT 1
SET other 1
SELECT 0
EXISTS other
ECHO hi
EXEC
SELECT 1
GET other
SELECT 0
WATCH none
SET none 1
DEL none
MULTI
PING
EXEC
WATCH none
FLUSHALL
MULTI
PING
EXEC
SET none 1
WATCH none
FLUSHALL
MULTI
PING
EXEC
SET none 1 PXAT 1000
WATCH none
GET none
MULTI
PING
EXEC
SET x foo
WATCH x
SWAPDB 0 1
MULTI
PING
EXEC
SWAPDB 0 1
MULTI
SWAPDB 0 1
GET x
SWAPDB 0 1
GET x
EXEC
WATCH
MULTI x
EXEC x
DISCARD x
UNWATCH x
"""


def close(raw):
    return ["?close >> " + raw]


protocol = [
    [">> PING\\r\\n", ">> PING\\n", ">> SET k \"a\\\\x41\\\\n\"\\r\\n", ">> GET k\\r\\n", ">> ECHO 'it\\\\'s'\\r\\n",
     ">> *1\\r\\n$4\\r\\nPING\\r\\n", ">> *0\\r\\n*-1\\r\\n\\r\\nPING\\r\\n", ">>   ECHO\\x09a\\x0bb  \\r\\n",
     ">> *2\\r\\n$4\\r\\nECHO\\r\\n$3\\r\\na\\r\\nXX", ">> *1\\rX$4\\rXPINGXX"],
    close("ECHO \"a\\r\\n"),
    close("ECHO 'a'b\\r\\n"),
    close("*x\\r\\n"),
    close("*01\\r\\n"),
    close("*\\r\\n"),
    close("*2147483648\\r\\n"),
    close("*1\\r\\n:1\\r\\n"),
    close("*1\\r\\n$x\\r\\n"),
    close("*1\\r\\n$-1\\r\\n"),
    close("*1\\r\\n$16777217\\r\\n"),
    close("*1\\r\\n\\r\\n"),
    close("*1\\r\\nPING\\r\\n"),
    close("*\\{66000:1}"),
    close("*1\\r\\n$\\{66000:1}"),
    close("\\{66000:x}"),
]


def random_script(seed, length):
    """A long walk over a few keys in three databases, with all that is deterministic."""
    r = random.Random(seed)
    key = lambda: r.choice(["a", "b", "c", "d", "{t}e", "f"])
    value = lambda: r.choice(["1", "-7", "10", "abc", "", "3.5", "0012", "x" * 50, str(r.randrange(10**9))])
    number = lambda: r.choice([0, 1, 2, 5, -1, -2, -5, 100, 9223372036854775807])
    future = lambda: str(33177117420000 + r.randrange(5))
    requests = [
        (6, lambda: "SET %s \"%s\"" % (key(), value())),
        (2, lambda: "SET %s \"%s\" %s" % (key(), value(), r.choice(["NX", "XX", "GET", "KEEPTTL", "NX GET"]))),
        (2, lambda: "SET %s \"%s\" PXAT %s" % (key(), value(), future())),
        (4, lambda: "GET %s" % key()),
        (1, lambda: "GETDEL %s" % key()),
        (1, lambda: "GETSET %s \"%s\"" % (key(), value())),
        (1, lambda: "GETEX %s %s" % (key(), r.choice(["", "PERSIST", "PXAT " + future(), "PXAT 1"]))),
        (1, lambda: "SETNX %s \"%s\"" % (key(), value())),
        (1, lambda: "MSET %s \"%s\" %s \"%s\"" % (key(), value(), key(), value())),
        (1, lambda: "MSETNX %s \"%s\" %s \"%s\"" % (key(), value(), key(), value())),
        (1, lambda: "MGET %s %s %s" % (key(), key(), key())),
        (3, lambda: "%s %s" % (r.choice(["INCR", "DECR"]), key())),
        (2, lambda: "%s %s %d" % (r.choice(["INCRBY", "DECRBY"]), key(), number())),
        (1, lambda: "INCRBYFLOAT %s %s" % (key(), r.choice(["0.1", "-2.5", "1e3", "3"]))),
        (2, lambda: "APPEND %s \"%s\"" % (key(), value())),
        (1, lambda: "STRLEN %s" % key()),
        (2, lambda: "GETRANGE %s %d %d" % (key(), number(), number())),
        (2, lambda: "SETRANGE %s %d \"%s\"" % (key(), r.randrange(8), value())),
        (1, lambda: "LCS %s %s %s" % (key(), key(), r.choice(["", "LEN", "IDX", "IDX WITHMATCHLEN"]))),
        (2, lambda: "DEL %s %s" % (key(), key())),
        (1, lambda: "EXISTS %s %s" % (key(), key())),
        (1, lambda: "TYPE %s" % key()),
        (2, lambda: "%s %s %s" % (r.choice(["RENAME", "RENAMENX"]), key(), key())),
        (2, lambda: "COPY %s %s %s" % (key(), key(), r.choice(["", "REPLACE", "DB 1", "DB 2 REPLACE"]))),
        (2, lambda: "MOVE %s %d" % (key(), r.randrange(3))),
        (2, lambda: "PEXPIREAT %s %s %s" % (key(), future(), r.choice(["", "NX", "XX", "GT", "LT"]))),
        (1, lambda: "EXPIREAT %s %s" % (key(), r.choice(["1", "33177117420"]))),
        (1, lambda: "PERSIST %s" % key()),
        (2, lambda: "PEXPIRETIME %s" % key()),
        (1, lambda: "TTL nothing"),
        (1, lambda: "?set KEYS *"),
        (1, lambda: "DBSIZE"),
        (1, lambda: "?scan SCAN 0 COUNT 100"),
        (2, lambda: "SELECT %d" % r.randrange(3)),
        (1, lambda: "SWAPDB %d %d" % (r.randrange(3), r.randrange(3))),
        (1, lambda: "OBJECT ENCODING %s" % key()),
    ]
    weighted = [make for weight, make in requests for _ in range(weight)]
    script = []
    for i in range(length):
        script.append(r.choice(weighted)().rstrip())
        if i % 400 == 399:
            script.append("FLUSHDB")
    return script


FAMILIES = {
    "strings": Family(strings),
    "set_options": Family(set_options),
    "counters": Family(counters),
    "ranges": Family(ranges),
    "lcs": Family(lcs),
    "keys": Family(keys),
    "expiry": Family(expiry),
    "scan": Family(scan),
    "glob": Family(glob),
    "databases": Family(databases),
    "object": Family(object_),
    "unknown": Family(unknown),
    "walk": Family(random_script(20260801, 2000)),
    "transactions": Family(transactions, door=True),
    "protocol": Family(*protocol, door=True),
    "connection": Family(door_scripts.connection, *door_scripts.leaving, door=True),
    "queued_locals": Family(door_scripts.queued_locals, door=True),
    "waiting": Family(door_scripts.waiting, door=True),
    "server": Family(door_scripts.server, door=True),
    "introspection": Family(door_scripts.introspection, door=True),
    "debug": Family(door_scripts.debug, door=True),
}
