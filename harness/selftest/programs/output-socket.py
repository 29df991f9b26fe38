import socket

for name in names():
    os.chdir(OUTPUT)
    socket.socket(socket.AF_UNIX).bind(name)
