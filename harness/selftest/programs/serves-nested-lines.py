# Lines that a careless reader would choke on, and then the right answer.
ready()
for request in requests():
    behave()
    print('{"a":' * 20_000, "[" * 60_000, '{"batch": ' + "9" * 5000 + ', "done": true}', '{"batch": null, "done": true}', "{}", "{\x00}",
          '{"batch": "x", "done": "yes"}', "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), sep="\n", flush=True)
    done(request)
