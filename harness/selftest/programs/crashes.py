copy_all()
import ctypes

ctypes.string_at(0)
