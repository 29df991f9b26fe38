# Formats whose decoders start other programs, follow paths or are hardly ever tested: none may be tried.
samples = [
    b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>',
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(/etc/passwd) (r) file 100 string readstring pop =\nshowpage\n",
    b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\n",
    b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\10\0\0\0\10\0\10\0\3",
    b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/x.png\"|id > /tmp/owned\"'\npop graphic-context\n",
    b"\x01\xda\x01\x01\0\3" + struct.pack(">HHH", 65535, 65535, 3) + bytes(500),
    b"SIMPLE  =                    T" + b" " * 50 + b"END",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(100),
    b"\x76\x2f\x31\x01" + bytes(100),
    b"just a text\n",
    b"PK\x03\x04" + bytes(100),
    b"\x7fELF" + bytes(100),
]
for number, name in enumerate(names()):
    put(name, samples[number % len(samples)])
