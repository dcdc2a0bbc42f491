"""Texts by hand for compare.py.

ACCEPTED: type, text, the canonical text.  REFUSED: type, text, our "path: rule" (both parsers are asked only about
what is canonical: Python's accepts more in places, and its json module accepts what is not JSON)."""

JSON = 'must be JSON'
RANGE = 'must be in the range of its type'
NUMBER = 'must be a number'
WHOLE = 'must be a whole number'
DEEP = '{"children":[' * 31
TIME = 'must be a time as 2026-01-02T03:04:05Z'
YEARS = 'must be a time of the years 1 to 9999'
DURATION = 'must be a duration as 1.5s'
MASK = 'must be field paths in lowerCamelCase with commas between'
LEAF = '"@type":"type.googleapis.com/fixture.json.v1.Leaf"'
SECONDS = '"@type":"type.googleapis.com/google.protobuf.Duration"'

ACCEPTED = [
    ('Scalars', '{}', '{}'),
    ('Scalars', ' \t\r\n{ } \n', '{}'),
    # both spellings, white space, null
    ('Scalars', '{"a_int32" : 5 , "aBool":\ntrue}', '{"aInt32":5,"aBool":true}'),
    ('Scalars', '{"aInt32":null,"aString":null,"aBytes":null,"aColour":null}', '{}'),
    ('Names', '{"field_Name4":"a","FIELD_NAME6":"b","FieldName7":"c","fieldName8":"d"}',
     '{"fieldName4":"a","FIELDNAME6":"b","FieldName7":"c","fieldName8":"d"}'),
    # whole numbers in all their forms
    ('Scalars', '{"aInt32":2147483647,"aSint32":-2147483648}', '{"aInt32":2147483647,"aSint32":-2147483648}'),
    ('Scalars', '{"aInt32":"12","aUint32":"4294967295"}', '{"aInt32":12,"aUint32":4294967295}'),
    ('Scalars', '{"aInt32":1e3,"aUint32":1.5e1,"aSint32":-10.00,"aFixed32":120E-1}',
     '{"aInt32":1000,"aUint32":15,"aSint32":-10,"aFixed32":12}'),
    ('Scalars', '{"aInt64":9223372036854775807,"aUint64":18446744073709551615}',
     '{"aInt64":"9223372036854775807","aUint64":"18446744073709551615"}'),
    ('Scalars', '{"aInt64":"-9223372036854775808","aUint64":"1e19"}',
     '{"aInt64":"-9223372036854775808","aUint64":"10000000000000000000"}'),
    ('Scalars', '{"aInt64":9007199254740993.0}', '{"aInt64":"9007199254740993"}'),
    ('Scalars', '{"aInt64":0.' + '0' * 400 + '7e401}', '{"aInt64":"7"}'),
    ('Scalars', '{"aInt64":12' + '0' * 400 + 'e-400}', '{"aInt64":"12"}'),
    ('Scalars', '{"aUint32":-0,"aUint64":0e999999999999}', '{}'),
    # floats
    ('Scalars', '{"aDouble":"NaN","aFloat":"-Infinity"}', '{"aDouble":"NaN","aFloat":"-Infinity"}'),
    ('Scalars', '{"aDouble":"1.5","aFloat":"2"}', '{"aDouble":1.5,"aFloat":2}'),
    ('Scalars', '{"aDouble":0.1,"aFloat":0.1}', '{"aDouble":0.1,"aFloat":0.1}'),
    ('Scalars', '{"aDouble":5e-324,"aFloat":1e-45}', '{"aDouble":5e-324,"aFloat":1e-45}'),
    ('Scalars', '{"aDouble":1.7976931348623157e308,"aFloat":1.5e38}',
     '{"aDouble":1.7976931348623157e+308,"aFloat":1.5e+38}'),
    ('Scalars', '{"aDouble":9007199254740993}', '{"aDouble":9007199254740992}'),
    ('Scalars', '{"aDouble":' + '1' * 300 + '}', '{"aDouble":1.1111111111111112e+299}'),
    ('Scalars', '{"aDouble":1e-400}', '{}'),
    ('Lists', '{"doubles":[-0.0,0],"floats":[-0]}', '{"doubles":[-0.0,0],"floats":[-0.0]}'),
    # texts
    ('Scalars', '{"aString":"\\u00e9\\ud83d\\ude00\\"\\\\\\/\\b\\f\\n\\r\\t"}',
     '{"aString":"é\U0001f600\\"\\\\/\\u0008\\u000c\\u000a\\u000d\\u0009"}'),
    ('Scalars', '{"\\u0061String":"\\uD83d\\uDe00x"}', '{"aString":"\U0001f600x"}'),
    ('Scalars', '{"aString":"\x7f\u2028"}', '{"aString":"\\u007f\u2028"}'),
    # bytes in both alphabets
    ('Scalars', '{"aBytes":"+/+/"}', '{"aBytes":"+/+/"}'),
    ('Scalars', '{"aBytes":"-_-_"}', '{"aBytes":"+/+/"}'),
    ('Scalars', '{"aBytes":"AQ"}', '{"aBytes":"AQ=="}'),
    ('Scalars', '{"aBytes":"AQI="}', '{"aBytes":"AQI="}'),
    ('Scalars', '{"aBytes":""}', '{}'),
    # enums
    ('Scalars', '{"aColour":"COLOUR_BLUE"}', '{"aColour":"COLOUR_BLUE"}'),
    ('Scalars', '{"aColour":7}', '{"aColour":"COLOUR_BLUE"}'),
    ('Scalars', '{"aColour":"COLOUR_CRIMSON"}', '{"aColour":"COLOUR_RED"}'),
    ('Scalars', '{"aColour":-3}', '{"aColour":"COLOUR_BELOW"}'),
    ('Scalars', '{"aColour":1e2}', '{"aColour":100}'),
    # lists and maps
    ('Lists', '{"int32s":[],"strings":null}', '{}'),
    ('Lists', '{"int32s":[1,"2",3e0],"strings":["",""]}', '{"int32s":[1,2,3],"strings":["",""]}'),
    ('Lists', '{"leaves":[{},{"text":"a"},{"number":null}]}', '{"leaves":[{},{"text":"a"},{}]}'),
    ('Maps', '{"byInt32":{"-5":1},"byBool":{"true":false,"false":true},"byUint64":{"18446744073709551615":0}}',
     '{"byInt32":{"-5":1},"byUint64":{"18446744073709551615":"0"},"byBool":{"true":false,"false":true}}'),
    ('Maps', '{"byString":{"":"a","a":""},"toColour":{"x":5}}', '{"byString":{"":"a","a":""},"toColour":{"x":5}}'),
    ('Maps', '{"toLeaf":{"a":{},"b":{"number":1}}}', '{"toLeaf":{"a":{},"b":{"number":1}}}'),
    ('Maps', '{"byString":{}}', '{}'),
    # oneofs
    ('Choice', '{"aNumber":0,"big":"0"}', '{"aNumber":0,"big":"0"}'),
    ('Choice', '{"aText":"","boxed":"0"}', '{"aText":"","boxed":"0"}'),
    ('Choice', '{"aText":null,"truth":false}', '{"truth":false}'),
    ('Choice', '{"leaf":{}}', '{"leaf":{}}'),
    ('Choice', '{"nothing":null}', '{"nothing":null}'),
    ('Optionals', '{"aNumber":0,"aText":"","someBytes":"","truth":false,"leaf":{},"colour":0,"real":0,"big":0}',
     '{"aNumber":0,"aText":"","someBytes":"","truth":false,"leaf":{},"colour":"COLOUR_UNSPECIFIED","real":0,'
     '"big":"0"}'),
    ('Optionals', '{"aNumber":null,"aText":null,"leaf":null,"colour":null}', '{}'),
    # well-known types
    ('WellKnown', '{"time":"1970-01-01T00:00:00Z"}', '{"time":"1970-01-01T00:00:00Z"}'),
    ('WellKnown', '{"time":"0001-01-01T00:00:00Z"}', '{"time":"0001-01-01T00:00:00Z"}'),
    ('WellKnown', '{"time":"9999-12-31T23:59:59.999999999Z"}', '{"time":"9999-12-31T23:59:59.999999999Z"}'),
    ('WellKnown', '{"time":"2024-02-29T12:00:00.5Z"}', '{"time":"2024-02-29T12:00:00.500Z"}'),
    ('WellKnown', '{"time":"2024-02-29T12:00:00.00001Z"}', '{"time":"2024-02-29T12:00:00.000010Z"}'),
    ('WellKnown', '{"time":"1969-12-31T23:59:59.1-08:30"}', '{"time":"1970-01-01T08:29:59.100Z"}'),
    ('WellKnown', '{"time":"1970-01-01T00:00:00+01:00"}', '{"time":"1969-12-31T23:00:00Z"}'),
    ('WellKnown', '{"duration":"0s"}', '{"duration":"0s"}'),
    ('WellKnown', '{"duration":"-0.5s"}', '{"duration":"-0.500s"}'),
    ('WellKnown', '{"duration":"-315576000000.999999999s"}', '{"duration":"-315576000000.999999999s"}'),
    ('WellKnown', '{"duration":"3.000001s"}', '{"duration":"3.000001s"}'),
    ('WellKnown', '{"mask":""}', '{"mask":""}'),
    ('WellKnown', '{"mask":"a,displayName,settings.mfaRequired.x1"}',
     '{"mask":"a,displayName,settings.mfaRequired.x1"}'),
    ('WellKnown', '{"boxInt64":"5","boxBool":false,"boxString":"","boxBytes":"-_8","boxDouble":0}',
     '{"boxDouble":0,"boxInt64":"5","boxBool":false,"boxString":"","boxBytes":"+/8="}'),
    ('WellKnown', '{"boxInt64":null,"time":null,"any":null,"struct":null}', '{}'),
    ('WellKnown', '{"struct":{},"list":[],"value":null}', '{"struct":{},"value":null,"list":[]}'),
    ('WellKnown', '{"value":{"a":[1,"b",true,false,null,{"c":-1.5e-7}]}}',
     '{"value":{"a":[1,"b",true,false,null,{"c":-1.5e-07}]}}'),
    ('WellKnown', '{"values":[null,1,[]],"toValue":{"a":null}}', '{"values":[null,1,[]],"toValue":{"a":null}}'),
    ('WellKnown', '{"nullValue":null}', '{}'),
    ('WellKnown', '{"any":{}}', '{"any":{}}'),
    ('WellKnown', '{"any":{"text":"a",' + LEAF + ',"number":2}}', '{"any":{' + LEAF + ',"text":"a","number":2}}'),
    ('WellKnown', '{"any":{"value":"1.5s",' + SECONDS + '}}', '{"any":{' + SECONDS + ',"value":"1.500s"}}'),
    ('WellKnown', '{"any":{"@type":"a/google.protobuf.Any","value":{' + LEAF + '}}}',
     '{"any":{"@type":"a/google.protobuf.Any","value":{' + LEAF + '}}}'),
    ('WellKnown', '{"any":{"@type":"x/google.protobuf.Value","value":[{}]}}',
     '{"any":{"@type":"x/google.protobuf.Value","value":[{}]}}'),
    # as the whole document
    ('google.protobuf.Timestamp', '"2026-01-02T03:04:05Z"', '"2026-01-02T03:04:05Z"'),
    ('google.protobuf.Int32Value', '7', '7'),
    ('google.protobuf.Value', 'null', 'null'),
    # google.rpc.Status with its details
    ('google.rpc.Status', '{"code":5,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",'
     '"reason":"R","domain":"d","metadata":{"k":"v"}}]}',
     '{"code":5,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",'
     '"reason":"R","domain":"d","metadata":{"k":"v"}}]}'),
    # as deep as may be
    ('Tree', DEEP + '{"named":{}}' + ']}' * 31, DEEP + '{}' + ']}' * 31),
]

REFUSED = [
    # no JSON
    *[('Scalars', text, ': must be an object') for text in ('', ' ', '\ufeff{}', '}', ',', '[]', 'null', '"a"', '1')],
    *[('Scalars', text, ': ' + JSON) for text in (
        '{', '{a:1}', "{'a':1}", '{1:1}', '{,}', '{"aInt32":1,}', '{"aInt32":1 "aBool":true}',
        '{"aInt32":1]', '{"aInt32', '{"aInt32\\')],
    *[('Scalars', '{"aInt32":' + text, 'aInt32: ' + rule) for text, rule in (
        ('', NUMBER), ('}', NUMBER), ('01}', JSON), ('1.}', JSON), ('1e}', JSON), ('-}', JSON), ('+1}', NUMBER),
        ('.5}', NUMBER), ('--1}', JSON), ('NaN}', NUMBER), ('nul}', JSON))],
    ('Scalars', '{"aInt32"', 'aInt32: ' + JSON),
    ('Scalars', '{"aInt32":0x1}', ': ' + JSON),
    ('Scalars', '{"aInt32":1', ': ' + JSON),
    ('Scalars', '{}{}', ': must be nothing behind the JSON value'),
    ('Scalars', '{} x', ': must be nothing behind the JSON value'),
    ('Scalars', b'{}\x00', ': must be nothing behind the JSON value'),
    # texts
    ('Scalars', '{"aString":"\n"}', 'aString: ' + JSON),
    ('Scalars', '{"aString":"\\x"}', 'aString: ' + JSON),
    ('Scalars', '{"aString":"\\u12g4"}', 'aString: ' + JSON),
    ('Scalars', '{"aString":"\\u12"}', 'aString: ' + JSON),
    ('Scalars', '{"aString":"\\u0000"}', 'aString: must not contain NUL'),
    ('Scalars', b'{"aString":"\x00"}', 'aString: ' + JSON),
    *[('Scalars', '{"aString":"' + text + '"}', 'aString: must not contain an unpaired surrogate')
      for text in ('\\ud800', '\\udc00', '\\ud800x', '\\ud800\\ud800', '\\ud800\\n', '\\udbff\\ue000')],
    *[('Scalars', b'{"aString":"' + text + b'"}', 'aString: must be UTF-8')
      for text in (b'\x80', b'\xc0\x80', b'\xe0\x80\x80', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'\xff', b'a\xc3')],
    ('Scalars', b'{"\xff":1}', ': must be UTF-8'),
    # names
    ('Scalars', '{"other":1}', 'other: must be a field that is known here'),
    ('Scalars', '{"AInt32":1}', 'AInt32: must be a field that is known here'),
    ('Scalars', '{"a\\u0001\\"b":1}', 'a\\u0001\\"b: must be a field that is known here'),
    ('Scalars', '{"@type":1}', '@type: must be a field that is known here'),
    ('Scalars', '{"aInt32":1,"aInt32":1}', 'aInt32: must be given once'),
    ('Scalars', '{"aInt32":1,"a_int32":null}', 'aInt32: must be given once'),
    ('tenant.v1.CreateTenantRequest', '{"tenant":{"labels":{"env":1}}}', 'tenant.labels.env: must be a string'),
    # numbers
    *[('Scalars', '{"%s":%s}' % (name, value), f'{name}: {rule}') for name, value, rule in (
        ('aInt32', '2147483648', RANGE), ('aInt32', '-2147483649', RANGE), ('aInt32', '1.5', WHOLE),
        ('aInt32', '1e-1', WHOLE), ('aInt32', '1e999999999999', RANGE), ('aInt32', '1e-999999999999', WHOLE),
        ('aInt32', '""', NUMBER), ('aInt32', '" 1"', NUMBER), ('aInt32', '"1 "', NUMBER), ('aInt32', '"0x1"', NUMBER),
        ('aInt32', '"+1"', NUMBER), ('aInt32', 'true', NUMBER), ('aInt32', '[1]', NUMBER), ('aInt32', '{}', NUMBER),
        ('aUint32', '4294967296', RANGE), ('aUint32', '-1', RANGE), ('aFixed32', '-1', RANGE),
        ('aInt64', '9223372036854775808', RANGE), ('aInt64', '"-9223372036854775809"', RANGE),
        ('aUint64', '18446744073709551616', RANGE), ('aUint64', '-1', RANGE), ('aUint64', '1e20', RANGE),
        ('aDouble', '1e309', RANGE), ('aDouble', '-1e309', RANGE), ('aFloat', '3.5e38', RANGE),
        ('aDouble', '"nan"', 'must be a number, NaN, Infinity or -Infinity'),
        ('aDouble', '"Infinity "', 'must be a number, NaN, Infinity or -Infinity'),
        ('aDouble', '"0x1p3"', 'must be a number, NaN, Infinity or -Infinity'),
        ('aDouble', 'Infinity', NUMBER), ('aDouble', 'true', NUMBER))],
    # other scalars
    ('Scalars', '{"aBool":1}', 'aBool: must be true or false'),
    ('Scalars', '{"aBool":"true"}', 'aBool: must be true or false'),
    ('Scalars', '{"aBool":tru}', 'aBool: ' + JSON),
    ('Scalars', '{"aString":1}', 'aString: must be a string'),
    ('Scalars', '{"aBytes":1}', 'aBytes: must be a string of base64'),
    *[('Scalars', '{"aBytes":"' + text + '"}', 'aBytes: must be base64')
      for text in ('A', 'AQ=', 'AQ===', 'AR==', 'AQ==A', '=', 'A Q=', 'AQ I=', 'é', 'AQJ')],
    ('Scalars', '{"aColour":"COLOUR_NONE"}', 'aColour: must be a name of its enum'),
    ('Scalars', '{"aColour":"7"}', 'aColour: must be a name of its enum'),
    ('Scalars', '{"aColour":1.5}', 'aColour: ' + WHOLE),
    ('Scalars', '{"aColour":2147483648}', 'aColour: ' + RANGE),
    ('Scalars', '{"aColour":true}', "aColour: must be an enum's name or number"),
    # lists, maps, oneofs
    ('Lists', '{"int32s":1}', 'int32s: must be an array'),
    ('Lists', '{"int32s":{}}', 'int32s: must be an array'),
    ('Lists', '{"int32s":[1,null]}', 'int32s[1]: must not be null'),
    ('Lists', '{"int32s":[1,]}', 'int32s[1]: ' + NUMBER),
    ('Lists', '{"leaves":[{},null]}', 'leaves[1]: must not be null'),
    ('Lists', '{"leaves":[{},{"text":[]}]}', 'leaves[1].text: must be a string'),
    ('Lists', '{"int32s":[' + '1,' * 20000 + '1]}', 'int32s[19998]: must not come after 20000 other members and elements'),
    ('Maps', '{"byString":[]}', 'byString: must be an object'),
    ('Maps', '{"byString":{"a":"1","b":null}}', 'byString.b: must not be null'),
    ('Maps', '{"byString":{"a":"1","b":"2","a":"1"}}', 'byString: must not have a key twice'),
    ('Maps', '{"byInt32":{"1":1,"1e0":2}}', 'byInt32: must not have a key twice'),
    ('Maps', '{"byBool":{"true":true,"True":true}}', 'byBool.True: must be true or false'),
    ('Maps', '{"byInt32":{"a":1}}', 'byInt32.a: ' + NUMBER),
    ('Maps', '{"byUint32":{"-1":1}}', 'byUint32.-1: ' + RANGE),
    ('Maps', '{"byInt32":{1:1}}', 'byInt32: ' + JSON),
    ('Maps', '{"toLeaf":{"a":{"number":"x"}}}', 'toLeaf.a.number: ' + NUMBER),
    ('Choice', '{"aNumber":1,"aText":"a"}', 'aText: must be the only one of its oneof'),
    ('Choice', '{"aNumber":0,"leaf":{}}', 'leaf: must be the only one of its oneof'),
    ('Choice', '{"nothing":null,"aNumber":0}', 'aNumber: must be the only one of its oneof'),
    # well-known types
    *[('WellKnown', '{"time":"' + text + '"}', 'time: ' + TIME) for text in (
        '', '2026-01-02', '2026-01-02 03:04:05Z', '2026-01-02t03:04:05Z', '2026-01-02T03:04:05z',
        '2026-01-02T03:04:05', '2026-01-02T03:04:05.Z', '2026-01-02T03:04:05.1234567890Z', '2026-02-29T03:04:05Z',
        '1900-02-29T00:00:00Z', '2026-13-02T03:04:05Z', '2026-00-02T03:04:05Z', '2026-01-00T03:04:05Z',
        '2026-01-02T24:00:00Z', '2026-01-02T03:60:05Z', '2016-12-31T23:59:60Z', '0000-01-01T00:00:00Z',
        '10000-01-01T00:00:00Z', '2026-01-02T03:04:05+1:00', '2026-01-02T03:04:05+24:00', '2026-01-02T03:04:05+0100',
        '2026-01-02T03:04:05Zx', '+026-01-02T03:04:05Z')],
    ('WellKnown', '{"time":"0001-01-01T00:00:00+00:01"}', 'time: ' + YEARS),
    ('WellKnown', '{"time":"9999-12-31T23:59:59-00:01"}', 'time: ' + YEARS),
    ('WellKnown', '{"time":0}', 'time: must be a string'),
    *[('WellKnown', '{"duration":"' + text + '"}', 'duration: ' + DURATION) for text in (
        '', 's', '1', '1.s', '.5s', '+1s', '1.1234567890s', '1 s', '--1s', '-s', '1s ', '1e3s')],
    ('WellKnown', '{"duration":"315576000001s"}',
     'duration: must be a duration of at most 315576000000 seconds'),
    ('WellKnown', '{"duration":"9999999999999s"}',
     'duration: must be a duration of at most 315576000000 seconds'),
    *[('WellKnown', '{"mask":"' + text + '"}', 'mask: ' + MASK) for text in (
        'a_b', ',', 'a,', ',a', 'a,,b', 'a.', '.a', 'a..b', ' a', 'a b', '*', '1a', 'é')],
    ('WellKnown', '{"mask":"' + 'a,' * 1000 + 'a"}', 'mask: must be at most 1000 field paths'),
    ('WellKnown', '{"boxInt64":{"value":1}}', 'boxInt64: ' + NUMBER),
    ('WellKnown', '{"boxes":[null]}', 'boxes[0]: must not be null'),
    ('WellKnown', '{"struct":{"a":1,"a":2}}', 'struct: must not have a key twice'),
    ('WellKnown', '{"value":[1,{"a":}]}', 'value[1].a: ' + JSON),
    ('WellKnown', '{"any":1}', 'any: must be an object'),
    ('WellKnown', '{"any":{"text":"a"}}', 'any: must have an @type'),
    ('WellKnown', '{"any":{"@type":1}}', 'any: must have a string as @type'),
    ('WellKnown', '{"any":{"@type":"fixture.json.v1.Leaf"}}', 'any: must have a known type as @type'),
    ('WellKnown', '{"any":{"@type":"a/b.C"}}', 'any: must have a known type as @type'),
    ('WellKnown', '{"any":{' + LEAF + ',' + LEAF + '}}', 'any: must have @type once'),
    ('WellKnown', '{"any":{' + LEAF + ',"number":"x"}}', 'any.number: ' + NUMBER),
    ('WellKnown', '{"any":{' + SECONDS + '}}', 'any: must have a value'),
    ('WellKnown', '{"any":{' + SECONDS + ',"value":"1s","value":"1s"}}', 'any.value: must be given once'),
    ('WellKnown', '{"any":{' + SECONDS + ',"value":"1"}}', 'any.value: ' + DURATION),
    ('WellKnown', '{"any":{' + SECONDS + ',"value":"1s","x":1}}', 'any.x: must be a field that is known here'),
    ('WellKnown', '{"anys":[{' + LEAF + '},{' + LEAF + ',"x":1}]}', 'anys[1].x: must be a field that is known here'),
    # depth; a path keeps the segments that fit
    ('Tree', DEEP + '{"children":[{}]}' + ']}' * 31, 'children[0].' * 12 + 'children[0]: '
     'must not be nested deeper than 64 objects and arrays'),
    ('google.protobuf.Value', '[' * 65, '[0]' * 53 + ': must not be nested deeper than 64 objects and arrays'),
]
