-- The functions of the search. Migration 0006 runs this file.

-- They name each character themselves and compare bytes. So the locale of the database never changes what an index
-- holds. Text that they compare comes from tasks_fold, which leaves no %, _ or \ for LIKE and no quote for tsquery.

-- A text in lower case, by Unicode's simple mapping. It also replaces ø, đ, ł, ħ, ŧ, ð and ı, which have no accent to
-- remove, and ß, æ, œ, þ.
CREATE OR REPLACE FUNCTION tasks_lower(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    lowered text;
BEGIN
    IF octet_length(value) = length(value) THEN
        RETURN lower(value COLLATE "C");
    END IF;
    lowered := lower(normalize(value, NFKD) COLLATE "C");
    -- translate compares each character with the whole list. So the frequent letters have a short list of their own.
    IF lowered ~ ('['
        '\u00C6\u00D0\u00D8\u00DE\u00F0\u00F8\u0110-\u0111\u0126-\u0127\u0131\u0141-\u0142\u014A\u0152\u0166-'
        '\u0167\u0181-\u0182\u0184\u0186-\u0187\u0189-\u018B\u018E-\u0191\u0193-\u0194\u0196-\u0198\u019C-\u019D'
        '\u019F\u01A2\u01A4\u01A6-\u01A7\u01A9\u01AC\u01AE\u01B1-\u01B3\u01B5\u01B7-\u01B8\u01BC\u01E4\u01F6-'
        '\u01F7\u021C\u0220\u0222\u0224\u023A-\u023B\u023D-\u023E\u0241\u0243-\u0246\u0248\u024A\u024C\u024E'
        '\u0370\u0372\u0376\u037F\u0391-\u03A1\u03A3-\u03A9\u03C2\u03CF\u03D8\u03DA\u03DC\u03DE\u03E0\u03E2\u03E4'
        '\u03E6\u03E8\u03EA\u03EC\u03EE\u03F7\u03FA\u03FD-\u03FF\u0402\u0404-\u0406\u0408-\u040B\u040F-\u0418'
        '\u041A-\u042F\u0460\u0462\u0464\u0466\u0468\u046A\u046C\u046E\u0470\u0472\u0474\u0478\u047A\u047C\u047E'
        '\u0480\u048A\u048C\u048E\u0490\u0492\u0494\u0496\u0498\u049A\u049C\u049E\u04A0\u04A2\u04A4\u04A6\u04A8'
        '\u04AA\u04AC\u04AE\u04B0\u04B2\u04B4\u04B6\u04B8\u04BA\u04BC\u04BE\u04C0\u04C3\u04C5\u04C7\u04C9\u04CB'
        '\u04CD\u04D4\u04D8\u04E0\u04E8\u04F6\u04FA\u04FC\u04FE\u0500\u0502\u0504\u0506\u0508\u050A\u050C\u050E'
        '\u0510\u0512\u0514\u0516\u0518\u051A\u051C\u051E\u0520\u0522\u0524\u0526\u0528\u052A\u052C\u052E\u0531-'
        '\u0556\u1E9E'
        ']') THEN
        lowered := translate(lowered,
        'АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩÆÐØÞðøĐđĦħıŁłŊŒŦŧƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜ'
        'ƝƟƢƤƦƧƩƬƮƱƲƳƵƷƸƼǤǶǷȜȠȢȤȺȻȽȾɁɃɄɅɆɈɊɌɎͰͲͶͿςϏϘϚϜϞϠϢϤϦϨϪϬϮϷϺϽϾϿЂЄЅІЈЉЊЋЏѠѢѤѦѨѪѬѮѰѲѴѸѺѼѾҀҊҌҎҐҒҔ'
        'ҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӃӅӇӉӋӍӔӘӠӨӶӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎ'
        'ՏՐՑՒՓՔՕՖẞ',
        'абвгдежзиклмнопрстуфхцчшщъыьэюяαβγδεζηθικλμνξοπρστυφχψωædoþdoddhhillŋœttɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯ'
        'ɲɵƣƥʀƨʃƭʈʊʋƴƶʒƹƽǥƕƿȝƞȣȥⱥȼƚⱦɂƀʉʌɇɉɋɍɏͱͳͷϳσϗϙϛϝϟϡϣϥϧϩϫϭϯϸϻͻͼͽђєѕіјљњћџѡѣѥѧѩѫѭѯѱѳѵѹѻѽѿҁҋҍҏґғҕ'
        'җҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӄӆӈӊӌӎӕәӡөӷӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվ'
        'տրցւփքօֆß');
    END IF;
    IF lowered ~ ('['
        '\u10A0-\u10C5\u10C7\u10CD\u13A0-\u13F5\u1C90-\u1CBA\u1CBD-\u1CBF\u1EFA\u1EFC\u1EFE\u2132\u2183\u2C00-'
        '\u2C2F\u2C60\u2C62-\u2C64\u2C67\u2C69\u2C6B\u2C6D-\u2C70\u2C72\u2C75\u2C7E-\u2C80\u2C82\u2C84\u2C86'
        '\u2C88\u2C8A\u2C8C\u2C8E\u2C90\u2C92\u2C94\u2C96\u2C98\u2C9A\u2C9C\u2C9E\u2CA0\u2CA2\u2CA4\u2CA6\u2CA8'
        '\u2CAA\u2CAC\u2CAE\u2CB0\u2CB2\u2CB4\u2CB6\u2CB8\u2CBA\u2CBC\u2CBE\u2CC0\u2CC2\u2CC4\u2CC6\u2CC8\u2CCA'
        '\u2CCC\u2CCE\u2CD0\u2CD2\u2CD4\u2CD6\u2CD8\u2CDA\u2CDC\u2CDE\u2CE0\u2CE2\u2CEB\u2CED\u2CF2\uA640\uA642'
        '\uA644\uA646\uA648\uA64A\uA64C\uA64E\uA650\uA652\uA654\uA656\uA658\uA65A\uA65C\uA65E\uA660\uA662\uA664'
        '\uA666\uA668\uA66A\uA66C\uA680\uA682\uA684\uA686\uA688\uA68A\uA68C\uA68E\uA690\uA692\uA694\uA696\uA698'
        '\uA69A\uA722\uA724\uA726\uA728\uA72A\uA72C\uA72E\uA732\uA734\uA736\uA738\uA73A\uA73C\uA73E\uA740\uA742'
        '\uA744\uA746\uA748\uA74A\uA74C\uA74E\uA750\uA752\uA754\uA756\uA758\uA75A\uA75C\uA75E\uA760\uA762\uA764'
        '\uA766\uA768\uA76A\uA76C\uA76E\uA779\uA77B\uA77D-\uA77E\uA780\uA782\uA784\uA786\uA78B\uA78D\uA790\uA792'
        '\uA796\uA798\uA79A\uA79C\uA79E\uA7A0\uA7A2\uA7A4\uA7A6\uA7A8\uA7AA-\uA7AE\uA7B0-\uA7B4\uA7B6\uA7B8\uA7BA'
        '\uA7BC\uA7BE\uA7C0\uA7C2\uA7C4-\uA7C7\uA7C9\uA7D0\uA7D6\uA7D8\uA7F5\U00010400-\U00010427\U000104B0-'
        '\U000104D3\U00010570-\U0001057A\U0001057C-\U0001058A\U0001058C-\U00010592\U00010594-\U00010595\U00010C80'
        '-\U00010CB2\U000118A0-\U000118BF\U00016E40-\U00016E5F\U0001E900-\U0001E921'
        ']') THEN
        lowered := translate(lowered,
        'ႠႡႢႣႤႥႦႧႨႩႪႫႬႭႮႯႰႱႲႳႴႵႶႷႸႹႺႻႼႽႾႿჀჁჂჃჄჅჇჍᎠᎡᎢᎣᎤᎥᎦᎧᎨᎩᎪᎫᎬᎭᎮᎯᎰᎱᎲᎳᎴᎵᎶᎷᎸᎹᎺᎻᎼᎽᎾᎿᏀᏁᏂᏃᏄᏅᏆᏇᏈᏉᏊᏋᏌᏍᏎᏏᏐᏑ'
        'ᏒᏓᏔᏕᏖᏗᏘᏙᏚᏛᏜᏝᏞᏟᏠᏡᏢᏣᏤᏥᏦᏧᏨᏩᏪᏫᏬᏭᏮᏯᏰᏱᏲᏳᏴᏵᲐᲑᲒᲓᲔᲕᲖᲗᲘᲙᲚᲛᲜᲝᲞᲟᲠᲡᲢᲣᲤᲥᲦᲧᲨᲩᲪᲫᲬᲭᲮᲯᲰᲱᲲᲳᲴᲵᲶᲷᲸᲹᲺᲽᲾᲿỺỼỾℲↃⰀⰁⰂ'
        'ⰃⰄⰅⰆⰇⰈⰉⰊⰋⰌⰍⰎⰏⰐⰑⰒⰓⰔⰕⰖⰗⰘⰙⰚⰛⰜⰝⰞⰟⰠⰡⰢⰣⰤⰥⰦⰧⰨⰩⰪⰫⰬⰭⰮⰯⱠⱢⱣⱤⱧⱩⱫⱭⱮⱯⱰⱲⱵⱾⱿⲀⲂⲄⲆⲈⲊⲌⲎⲐⲒⲔⲖⲘⲚⲜⲞⲠⲢⲤⲦⲨⲪⲬⲮⲰⲲⲴⲶⲸⲺ'
        'ⲼⲾⳀⳂⳄⳆⳈⳊⳌⳎⳐⳒⳔⳖⳘⳚⳜⳞⳠⳢⳫⳭⳲꙀꙂꙄꙆꙈꙊꙌꙎꙐꙒꙔꙖꙘꙚꙜꙞꙠꙢꙤꙦꙨꙪꙬꚀꚂꚄꚆꚈꚊꚌꚎꚐꚒꚔꚖꚘꚚꜢꜤꜦꜨꜪꜬꜮꜲꜴꜶꜸꜺꜼꜾꝀꝂꝄꝆꝈꝊꝌꝎꝐꝒꝔꝖꝘꝚꝜꝞ'
        'ꝠꝢꝤꝦꝨꝪꝬꝮꝹꝻꝽꝾꞀꞂꞄꞆꞋꞍꞐꞒꞖꞘꞚꞜꞞꞠꞢꞤꞦꞨꞪꞫꞬꞭꞮꞰꞱꞲꞳꞴꞶꞸꞺꞼꞾꟀꟂꟄꟅꟆꟇꟉꟐꟖꟘꟵ𐐀𐐁𐐂𐐃𐐄𐐅𐐆𐐇𐐈𐐉𐐊𐐋𐐌𐐍𐐎𐐏𐐐𐐑𐐒𐐓𐐔𐐕𐐖𐐗𐐘𐐙𐐚𐐛𐐜𐐝𐐞𐐟𐐠𐐡'
        '𐐢𐐣𐐤𐐥𐐦𐐧𐒰𐒱𐒲𐒳𐒴𐒵𐒶𐒷𐒸𐒹𐒺𐒻𐒼𐒽𐒾𐒿𐓀𐓁𐓂𐓃𐓄𐓅𐓆𐓇𐓈𐓉𐓊𐓋𐓌𐓍𐓎𐓏𐓐𐓑𐓒𐓓𐕰𐕱𐕲𐕳𐕴𐕵𐕶𐕷𐕸𐕹𐕺𐕼𐕽𐕾𐕿𐖀𐖁𐖂𐖃𐖄𐖅𐖆𐖇𐖈𐖉𐖊𐖌𐖍𐖎𐖏𐖐𐖑𐖒𐖔𐖕𐲀𐲁𐲂𐲃𐲄𐲅𐲆𐲇𐲈𐲉𐲊𐲋𐲌'
        '𐲍𐲎𐲏𐲐𐲑𐲒𐲓𐲔𐲕𐲖𐲗𐲘𐲙𐲚𐲛𐲜𐲝𐲞𐲟𐲠𐲡𐲢𐲣𐲤𐲥𐲦𐲧𐲨𐲩𐲪𐲫𐲬𐲭𐲮𐲯𐲰𐲱𐲲𑢠𑢡𑢢𑢣𑢤𑢥𑢦𑢧𑢨𑢩𑢪𑢫𑢬𑢭𑢮𑢯𑢰𑢱𑢲𑢳𑢴𑢵𑢶𑢷𑢸𑢹𑢺𑢻𑢼𑢽𑢾𑢿𖹀𖹁𖹂𖹃𖹄𖹅𖹆𖹇𖹈𖹉𖹊𖹋𖹌𖹍𖹎𖹏𖹐𖹑𖹒𖹓'
        '𖹔𖹕𖹖𖹗𖹘𖹙𖹚𖹛𖹜𖹝𖹞𖹟𞤀𞤁𞤂𞤃𞤄𞤅𞤆𞤇𞤈𞤉𞤊𞤋𞤌𞤍𞤎𞤏𞤐𞤑𞤒𞤓𞤔𞤕𞤖𞤗𞤘𞤙𞤚𞤛𞤜𞤝𞤞𞤟𞤠𞤡',
        'ⴀⴁⴂⴃⴄⴅⴆⴇⴈⴉⴊⴋⴌⴍⴎⴏⴐⴑⴒⴓⴔⴕⴖⴗⴘⴙⴚⴛⴜⴝⴞⴟⴠⴡⴢⴣⴤⴥⴧⴭꭰꭱꭲꭳꭴꭵꭶꭷꭸꭹꭺꭻꭼꭽꭾꭿꮀꮁꮂꮃꮄꮅꮆꮇꮈꮉꮊꮋꮌꮍꮎꮏꮐꮑꮒꮓꮔꮕꮖꮗꮘꮙꮚꮛꮜꮝꮞꮟꮠꮡ'
        'ꮢꮣꮤꮥꮦꮧꮨꮩꮪꮫꮬꮭꮮꮯꮰꮱꮲꮳꮴꮵꮶꮷꮸꮹꮺꮻꮼꮽꮾꮿᏸᏹᏺᏻᏼᏽაბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺჽჾჿỻỽỿⅎↄⰰⰱⰲ'
        'ⰳⰴⰵⰶⰷⰸⰹⰺⰻⰼⰽⰾⰿⱀⱁⱂⱃⱄⱅⱆⱇⱈⱉⱊⱋⱌⱍⱎⱏⱐⱑⱒⱓⱔⱕⱖⱗⱘⱙⱚⱛⱜⱝⱞⱟⱡɫᵽɽⱨⱪⱬɑɱɐɒⱳⱶȿɀⲁⲃⲅⲇⲉⲋⲍⲏⲑⲓⲕⲗⲙⲛⲝⲟⲡⲣⲥⲧⲩⲫⲭⲯⲱⲳⲵⲷⲹⲻ'
        'ⲽⲿⳁⳃⳅⳇⳉⳋⳍⳏⳑⳓⳕⳗⳙⳛⳝⳟⳡⳣⳬⳮⳳꙁꙃꙅꙇꙉꙋꙍꙏꙑꙓꙕꙗꙙꙛꙝꙟꙡꙣꙥꙧꙩꙫꙭꚁꚃꚅꚇꚉꚋꚍꚏꚑꚓꚕꚗꚙꚛꜣꜥꜧꜩꜫꜭꜯꜳꜵꜷꜹꜻꜽꜿꝁꝃꝅꝇꝉꝋꝍꝏꝑꝓꝕꝗꝙꝛꝝꝟ'
        'ꝡꝣꝥꝧꝩꝫꝭꝯꝺꝼᵹꝿꞁꞃꞅꞇꞌɥꞑꞓꞗꞙꞛꞝꞟꞡꞣꞥꞧꞩɦɜɡɬɪʞʇʝꭓꞵꞷꞹꞻꞽꞿꟁꟃꞔʂᶎꟈꟊꟑꟗꟙꟶ𐐨𐐩𐐪𐐫𐐬𐐭𐐮𐐯𐐰𐐱𐐲𐐳𐐴𐐵𐐶𐐷𐐸𐐹𐐺𐐻𐐼𐐽𐐾𐐿𐑀𐑁𐑂𐑃𐑄𐑅𐑆𐑇𐑈𐑉'
        '𐑊𐑋𐑌𐑍𐑎𐑏𐓘𐓙𐓚𐓛𐓜𐓝𐓞𐓟𐓠𐓡𐓢𐓣𐓤𐓥𐓦𐓧𐓨𐓩𐓪𐓫𐓬𐓭𐓮𐓯𐓰𐓱𐓲𐓳𐓴𐓵𐓶𐓷𐓸𐓹𐓺𐓻𐖗𐖘𐖙𐖚𐖛𐖜𐖝𐖞𐖟𐖠𐖡𐖣𐖤𐖥𐖦𐖧𐖨𐖩𐖪𐖫𐖬𐖭𐖮𐖯𐖰𐖱𐖳𐖴𐖵𐖶𐖷𐖸𐖹𐖻𐖼𐳀𐳁𐳂𐳃𐳄𐳅𐳆𐳇𐳈𐳉𐳊𐳋𐳌'
        '𐳍𐳎𐳏𐳐𐳑𐳒𐳓𐳔𐳕𐳖𐳗𐳘𐳙𐳚𐳛𐳜𐳝𐳞𐳟𐳠𐳡𐳢𐳣𐳤𐳥𐳦𐳧𐳨𐳩𐳪𐳫𐳬𐳭𐳮𐳯𐳰𐳱𐳲𑣀𑣁𑣂𑣃𑣄𑣅𑣆𑣇𑣈𑣉𑣊𑣋𑣌𑣍𑣎𑣏𑣐𑣑𑣒𑣓𑣔𑣕𑣖𑣗𑣘𑣙𑣚𑣛𑣜𑣝𑣞𑣟𖹠𖹡𖹢𖹣𖹤𖹥𖹦𖹧𖹨𖹩𖹪𖹫𖹬𖹭𖹮𖹯𖹰𖹱𖹲𖹳'
        '𖹴𖹵𖹶𖹷𖹸𖹹𖹺𖹻𖹼𖹽𖹾𖹿𞤢𞤣𞤤𞤥𞤦𞤧𞤨𞤩𞤪𞤫𞤬𞤭𞤮𞤯𞤰𞤱𞤲𞤳𞤴𞤵𞤶𞤷𞤸𞤹𞤺𞤻𞤼𞤽𞤾𞤿𞥀𞥁𞥂𞥃');
    END IF;
    IF lowered ~ '[\u00DF\u00E6\u0153\u00FE]' THEN
        lowered := replace(replace(replace(replace(lowered, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');
    END IF;
    RETURN normalize(lowered, NFC);
END $$;

-- A text as the search compares it: words in lower case without accents. One space stands before and after each word.
-- A run of letters of a script without spaces is a word. chr(1) separates fields and stays.
CREATE OR REPLACE FUNCTION tasks_fold(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    folded text;
BEGIN
    IF octet_length(value) = length(value) THEN
        RETURN regexp_replace(lower(' ' || value || ' ' COLLATE "C"), '[^a-z0-9\x01]+', ' ', 'g');
    END IF;
    -- NFKD makes accents characters of their own, which are removed. tasks_lower composes Hangul and kana again.
    folded := tasks_lower(regexp_replace(normalize(value, NFKD) COLLATE "C",
        '['
        '\u00AD\u0300-\u036F\u0483-\u0489\u0591-\u05BD\u05BF\u05C1-\u05C2\u05C4-\u05C5\u05C7\u0610-\u061A\u061C'
        '\u0640\u064B-\u065F\u0670\u06D6-\u06DC\u06DF-\u06E4\u06E7-\u06E8\u06EA-\u06ED\u0711\u0730-\u074A\u180B-'
        '\u180F\u1AB0-\u1AFF\u1DC0-\u1DFF\u200B-\u200F\u202A-\u202E\u2060-\u206F\u20D0-\u20FF\uFE00-\uFE0F\uFE20-'
        '\uFE2F\uFEFF'
        ']+', '', 'g'));
    IF folded ~ '[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u1950-\u19FF\u1A20-\u1AAF\u1B00-\u1B7F\u2600-\u27BF\u2E80-\u2FDF\u3005-\u3007\u3021-\u3029\u3040-\u30FF\u3100-\u312F\u31A0-\u31BF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uA980-\uA9DF\uA9E0-\uA9FF\uAA60-\uAADF\uF900-\uFAFF\U0001F000-\U0001FAFF\U00020000-\U0003FFFF]' THEN
        folded := regexp_replace(folded, '([\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u1950-\u19FF\u1A20-\u1AAF\u1B00-\u1B7F\u2600-\u27BF\u2E80-\u2FDF\u3005-\u3007\u3021-\u3029\u3040-\u30FF\u3100-\u312F\u31A0-\u31BF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uA980-\uA9DF\uA9E0-\uA9FF\uAA60-\uAADF\uF900-\uFAFF\U0001F000-\U0001FAFF\U00020000-\U0003FFFF]+)', ' \1 ', 'g');
    END IF;
    RETURN regexp_replace(' ' || folded || ' ',
        '[\x02-\x2F\x3A-\x60\x7B-\x7F'
        '\u0080-\u009F\u00A1-\u00A7\u00A9\u00AB-\u00AC\u00AE\u00B0-\u00B1\u00B6-\u00B7\u00BB\u00BF\u00D7\u00F7'
        '\u02C2-\u02C5\u02D2-\u02D7\u02DE-\u02DF\u02E5-\u02EB\u02ED\u02EF-\u02FF\u0375\u03F6\u0482\u055A-\u055F'
        '\u0589-\u058F\u05BE\u05C0\u05C3\u05C6\u05F3-\u05F4\u0606-\u060F\u061B\u061D-\u061F\u066A-\u066D\u06D4'
        '\u06DE\u06E9\u06FD-\u06FE\u0700-\u070D\u07F6-\u07F9\u07FE-\u07FF\u0830-\u083E\u085E\u0888\u0964-\u0965'
        '\u0970\u09F2-\u09F3\u09FA-\u09FB\u09FD\u0A76\u0AF0-\u0AF1\u0B70\u0BF3-\u0BFA\u0C77\u0C7F\u0C84\u0D4F'
        '\u0D79\u0DF4\u0E4F\u0E5A-\u0E5B\u0F01-\u0F0B\u0F0D-\u0F17\u0F1A-\u0F1F\u0F34\u0F36\u0F38\u0F3A-\u0F3D'
        '\u0F85\u0FBE-\u0FC5\u0FC7-\u0FDA\u104A-\u104F\u10FB\u1360-\u1368\u1390-\u1399\u1400\u166D-\u166E\u1680'
        '\u169B-\u169C\u16EB-\u16ED\u1735-\u1736\u17D4-\u17D6\u17D8-\u17DA\u1800-\u180A\u1940-\u1945\u1A1E-\u1A1F'
        '\u1AA0-\u1AA6\u1AA8-\u1AAD\u1B5A-\u1B60\u1B7D-\u1B7E\u1BFC-\u1BFF\u1C3B-\u1C3F\u1C7E-\u1C7F\u1CC0-\u1CC7'
        '\u1CD3\u2010\u2012-\u2016\u2018-\u2023\u2027-\u2029\u2030-\u2032\u2035\u2038-\u203B\u203D\u203F-\u2046'
        '\u204A-\u2056\u2058-\u205E\u20A0-\u20A7\u20A9-\u20C0\u2104\u2108\u2114\u2117-\u2118\u211E-\u211F\u2123'
        '\u2125\u2127\u2129\u212E\u213A\u2141-\u2144\u214A-\u214D\u214F\u218A-\u2199\u219C-\u21AD\u21AF-\u21CC'
        '\u21D0-\u2203\u2205-\u2208\u220A-\u220B\u220D-\u2223\u2225\u2227-\u222B\u222E\u2231-\u2240\u2242-\u2243'
        '\u2245-\u2246\u2248\u224A-\u225F\u2261\u2263-\u226C\u2272-\u2273\u2276-\u2277\u227A-\u227F\u2282-\u2283'
        '\u2286-\u2287\u228A-\u22AB\u22B0-\u22DF\u22E4-\u22E9\u22EE-\u2328\u232B-\u244A\u2500-\u25FF\u2768-\u2775'
        '\u27C0-\u2A0B\u2A0D-\u2A73\u2A77-\u2ADB\u2ADD-\u2BFF\u2CE5-\u2CEA\u2CF9-\u2CFC\u2CFE-\u2CFF\u2D70\u2E00-'
        '\u2E2E\u2E30-\u2E5D\u2FF0-\u2FFB\u3001-\u3004\u3008-\u3020\u3030\u3037\u303D-\u303F\u30A0\u30FB\u3190-'
        '\u3191\u31C0-\u31E3\u327F\u4DC0-\u4DFF\uA490-\uA4C6\uA4FE-\uA4FF\uA60D-\uA60F\uA673\uA67E\uA6F2-\uA716'
        '\uA720-\uA721\uA789-\uA78A\uA828-\uA82B\uA836-\uA839\uA874-\uA877\uA8CE-\uA8CF\uA8F8-\uA8FA\uA8FC\uA92E-'
        '\uA92F\uA95F\uA9C1-\uA9CD\uA9DE-\uA9DF\uAA5C-\uAA5F\uAADE-\uAADF\uAAF0-\uAAF1\uAB5B\uAB6A-\uAB6B\uABEB'
        '\uFBB2-\uFBC2\uFD3E-\uFD4F\uFDCF\uFDFD-\uFDFF\uFE45-\uFE46\uFFFC-\uFFFD\U00010100-\U00010102\U00010137-'
        '\U0001013F\U00010179-\U00010189\U0001018C-\U000101FC\U0001039F\U000103D0\U0001056F\U00010857\U00010877-'
        '\U00010878\U0001091F\U0001093F\U00010A50-\U00010A58\U00010A7F\U00010AC8\U00010AF0-\U00010AF6\U00010B39-'
        '\U00010B3F\U00010B99-\U00010B9C\U00010EAD\U00010F55-\U00010F59\U00010F86-\U00010F89\U00011047-\U0001104D'
        '\U000110BB-\U000110BC\U000110BE-\U000110C1\U00011140-\U00011143\U00011174-\U00011175\U000111C5-'
        '\U000111C8\U000111CD\U000111DB\U000111DD-\U000111DF\U00011238-\U0001123D\U000112A9\U0001144B-\U0001144F'
        '\U0001145A-\U0001145D\U000114C6\U000115C1-\U000115D7\U00011641-\U00011643\U00011660-\U0001166C\U000116B9'
        '\U0001173C-\U0001173F\U0001183B\U00011944-\U00011946\U000119E2\U00011A3F-\U00011A46\U00011A9A-\U00011A9C'
        '\U00011A9E-\U00011AA2\U00011C41-\U00011C45\U00011C70-\U00011C71\U00011EF7-\U00011EF8\U00011FD5-'
        '\U00011FFF\U00012470-\U00012474\U00012FF1-\U00012FF2\U00016A6E-\U00016A6F\U00016AF5\U00016B37-\U00016B3F'
        '\U00016B44-\U00016B45\U00016E97-\U00016E9A\U00016FE2\U0001BC9C\U0001BC9F\U0001CF50-\U0001D15D\U0001D16A-'
        '\U0001D16C\U0001D183-\U0001D184\U0001D18C-\U0001D1A9\U0001D1AE-\U0001D1BA\U0001D1C1-\U0001D241\U0001D245'
        '\U0001D300-\U0001D356\U0001D800-\U0001D9FF\U0001DA37-\U0001DA3A\U0001DA6D-\U0001DA74\U0001DA76-'
        '\U0001DA83\U0001DA85-\U0001DA8B\U0001E14F\U0001E2FF\U0001E95E-\U0001E95F\U0001ECAC\U0001ECB0\U0001ED2E'
        '\U0001EEF0-\U0001EEF1\U0001FB00-\U0001FBCA'
        ']+', ' ', 'g');
END $$;

-- All words that a query reads of a task.
CREATE OR REPLACE FUNCTION tasks_words(title text, description text, tags text[], checklist jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    value text := title || E' \x01 ' || description;
BEGIN
    IF tags <> '{}' THEN
        value := value || E' \x01 ' || array_to_string(tags, E' \x01 ');
    END IF;
    IF checklist <> '[]' AND jsonb_typeof(checklist) = 'array' THEN
        value := value || coalesce(
            (SELECT string_agg(E' \x01 ' || (item ->> 'text'), '') FROM jsonb_array_elements(checklist) item), '');
    END IF;
    RETURN tasks_fold(value);
END $$;

-- The LIKE patterns of a query's terms, without terms in which no letter or digit is left. A term that begins with "
-- is a phrase of whole words. The last word of another term may continue.
CREATE OR REPLACE FUNCTION tasks_patterns(terms text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(
        '%' || CASE WHEN body ~ '^[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u1950-\u19FF\u1A20-\u1AAF\u1B00-\u1B7F\u2600-\u27BF\u2E80-\u2FDF\u3005-\u3007\u3021-\u3029\u3040-\u30FF\u3100-\u312F\u31A0-\u31BF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uA980-\uA9DF\uA9E0-\uA9FF\uAA60-\uAADF\uF900-\uFAFF\U0001F000-\U0001FAFF\U00020000-\U0003FFFF]' THEN '' ELSE ' ' END || body
        || CASE WHEN NOT phrase OR body ~ '[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u1950-\u19FF\u1A20-\u1AAF\u1B00-\u1B7F\u2600-\u27BF\u2E80-\u2FDF\u3005-\u3007\u3021-\u3029\u3040-\u30FF\u3100-\u312F\u31A0-\u31BF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uA980-\uA9DF\uA9E0-\uA9FF\uAA60-\uAADF\uF900-\uFAFF\U0001F000-\U0001FAFF\U00020000-\U0003FFFF]$' THEN '' ELSE ' ' END || '%'), '{}')
    FROM (
        SELECT left(term, 1) = '"' AS phrase, btrim(tasks_fold(replace(term, E'\x01', ' '))) AS body
        FROM unnest(terms) term
    ) folded
    WHERE body <> ''
$$;

-- Whether all terms occur in the title.
CREATE OR REPLACE FUNCTION tasks_title_has(title text, terms text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT tasks_fold(title) LIKE ALL (tasks_patterns(terms))
$$;

-- Whether one of the tags equals the tag, apart from case.
CREATE OR REPLACE FUNCTION tasks_has_tag(tags text[], tag text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT tags <> '{}' AND EXISTS (SELECT FROM unnest(tags) one WHERE tasks_lower(one) = tasks_lower(tag))
$$;

-- The words of folded text that become keys. Of a word without spaces, each two characters and the last one do.
CREATE OR REPLACE FUNCTION tasks_key_words(folded text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    words text := replace(folded, E' \x01 ', ' ');
BEGIN
    IF octet_length(words) > length(words) AND words ~ '[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u1950-\u19FF\u1A20-\u1AAF\u1B00-\u1B7F\u2600-\u27BF\u2E80-\u2FDF\u3005-\u3007\u3021-\u3029\u3040-\u30FF\u3100-\u312F\u31A0-\u31BF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uA980-\uA9DF\uA9E0-\uA9FF\uAA60-\uAADF\uF900-\uFAFF\U0001F000-\U0001FAFF\U00020000-\U0003FFFF]' THEN
        words := (
            SELECT string_agg(CASE WHEN word ~ '^[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u1950-\u19FF\u1A20-\u1AAF\u1B00-\u1B7F\u2600-\u27BF\u2E80-\u2FDF\u3005-\u3007\u3021-\u3029\u3040-\u30FF\u3100-\u312F\u31A0-\u31BF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uA980-\uA9DF\uA9E0-\uA9FF\uAA60-\uAADF\uF900-\uFAFF\U0001F000-\U0001FAFF\U00020000-\U0003FFFF]' THEN
                (SELECT string_agg(substr(word, n, 2), ' ') FROM generate_series(1, length(word)) n) ELSE word END, ' ')
            FROM unnest(string_to_array(btrim(words), ' ')) word
        );
    END IF;
    RETURN btrim(regexp_replace(words, '([^ ]{32})[^ ]+', '\1', 'g'));  -- a key has room for 2,046 bytes
END $$;

-- The key of a tag. A word never begins with #.
CREATE OR REPLACE FUNCTION tasks_tag_key(tag text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT '#' || left(replace(btrim(tasks_fold(tag)), ' ', '_'), 64)
$$;

-- The keys of one event in the index: word, |, and the number of the event without its last 17 bits. That number keeps
-- the list of each key short: a change of a list writes the whole list into the write-ahead log.
CREATE OR REPLACE FUNCTION tasks_keys(
    event_id bigint, title text, description text, tags text[], checklist jsonb
) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    tail text := '|' || to_hex(event_id >> 17);
    words text := tasks_key_words(tasks_words(title, description, tags, checklist));
BEGIN
    IF tags <> '{}' THEN
        words := words || ' ' || (SELECT string_agg(tasks_tag_key(tag), ' ') FROM unnest(tags) tag);
    END IF;
    RETURN array_to_tsvector(string_to_array(replace(words, ' ', tail || ' ') || tail, ' '));
END $$;

-- The index query for all terms, and for the tag if it is not null.
CREATE OR REPLACE FUNCTION tasks_key_query(terms text[], tag text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg(DISTINCT quote_literal(key) || ':*', '&')::tsquery
    FROM (
        SELECT word || CASE WHEN word ~ '^[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u1950-\u19FF\u1A20-\u1AAF\u1B00-\u1B7F\u2600-\u27BF\u2E80-\u2FDF\u3005-\u3007\u3021-\u3029\u3040-\u30FF\u3100-\u312F\u31A0-\u31BF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uA980-\uA9DF\uA9E0-\uA9FF\uAA60-\uAADF\uF900-\uFAFF\U0001F000-\U0001FAFF\U00020000-\U0003FFFF]' OR (n = words AND NOT phrase) THEN '' ELSE '|' END AS key
        FROM (SELECT left(term, 1) = '"' AS phrase, tasks_fold(replace(term, E'\x01', ' ')) AS folded
              FROM unnest(terms) term) term,
        LATERAL (SELECT word, n, count(*) OVER () AS words
            FROM unnest(string_to_array(tasks_key_words(folded), ' ')) WITH ORDINALITY AS w (word, n)) word
        WHERE word <> ''
        UNION ALL
        SELECT tasks_tag_key(tag) || '|' WHERE tag IS NOT NULL
    ) keys
$$;

-- The search of the two functions below. p_rows is a condition for the rows of tasks, p_moment the column that orders them.
--
-- Up to 2,000 rows are compared one by one. Of more rows, the newest 500 show whether the words are rare. If they are,
-- the index answers, unless it has more than 5,000 versions. Otherwise the newest rows are compared, at most 20,000,
-- until there are p_maximum matches. Then stopped is true, ids begins with the newest, and the search can go on after
-- reached_at and reached_id, which are otherwise null.
CREATE OR REPLACE FUNCTION tasks_search(
    p_rows text, p_moment name, p_user text, p_terms text[], p_without text[], p_tag text, p_title_only boolean,
    p_last_at timestamptz, p_last_id bigint, p_maximum integer,
    OUT ids bigint[], OUT stopped boolean, OUT reached_at timestamptz, OUT reached_id bigint
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    few CONSTANT integer := 2000;
    sample CONSTANT integer := 500;
    frequent CONSTANT integer := 10;  -- matches in the sample
    versions CONSTANT integer := 5000;
    many CONSTANT integer := 20000;
    has text[] := tasks_patterns(p_terms);
    without text[] := tasks_patterns(p_without);
    longest text := (
        SELECT word FROM unnest(has) pattern, unnest(string_to_array(btrim(pattern, '% '), ' ')) word
        ORDER BY length(word) DESC LIMIT 1
    );
    newest text := CASE WHEN p_moment IS NULL THEN '' ELSE format('t.%I DESC,', p_moment) END || 't.id DESC';
    fits text;
    is_big boolean;
    is_rare boolean;
    rows_read bigint;
    query tsquery;
    candidates bigint[];
    candidates_read integer;
BEGIN
    IF has = '{}' AND p_tag IS NULL THEN
        RETURN;  -- ids is null: no letter or digit is left of the terms
    END IF;
    IF p_last_id IS NOT NULL THEN
        p_rows := p_rows || format(' AND (t.%I, t.id) < ($5, $6)', p_moment);
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM tasks t WHERE %s ORDER BY %s OFFSET %s)', p_rows, newest, few)
        INTO is_big USING p_user, has, without, p_tag, p_last_at, p_last_id;
    fits := CASE
        WHEN p_title_only THEN 'tasks_fold(t.title) LIKE ALL ($2)'
        WHEN has = '{}' AND without = '{}' THEN 'true'
        ELSE '(SELECT words LIKE ALL ($2) AND words NOT LIKE ALL ($3) FROM (
            SELECT tasks_words(t.title, t.description, t.tags, t.checklist) AS words OFFSET 0) w)'
    END || CASE WHEN p_tag IS NULL THEN '' ELSE ' AND t.tags <> ''{}'' AND ($4 = ANY (t.tags) OR tasks_has_tag(t.tags, $4))' END;
    IF has <> '{}' THEN
        -- Folding takes most of the time. A text of ASCII alone needs none if it lacks the longest word.
        fits := 'CASE WHEN t.tags = ''{}'' AND t.checklist = ''[]''
            AND octet_length(t.title) + octet_length(t.description) = length(t.title) + length(t.description)
            AND strpos(lower(t.title || '' '' || t.description COLLATE "C"), $7) = 0 THEN false ELSE ' || fits || ' END';
    END IF;
    IF is_big THEN
        EXECUTE format(
            'SELECT count(*) < %s FROM (SELECT * FROM tasks t WHERE %s ORDER BY %s LIMIT %s) t WHERE %s',
            frequent, p_rows, newest, sample, fits
        ) INTO is_rare USING p_user, has, without, p_tag, p_last_at, p_last_id, longest;
    END IF;
    IF is_rare THEN
        query := tasks_key_query(p_terms, p_tag);
        SELECT array_agg(pgh_obj_id) FILTER (WHERE p_user IS NULL OR user_id = p_user), count(*)
        INTO candidates, candidates_read FROM (
            SELECT pgh_obj_id, user_id FROM task_events
            WHERE pgh_label <> 'delete' AND version = text_version
                AND tasks_keys(pgh_id, title, description, tags, checklist) @@ query
            LIMIT versions + 1
        ) by_index;
        IF candidates_read <= versions THEN
            stopped := false;
            EXECUTE format('SELECT coalesce(array_agg(t.id ORDER BY %s), ''{}'')
                FROM (SELECT * FROM tasks WHERE id = ANY ($8) OFFSET 0) t WHERE %s AND %s', newest, p_rows, fits
            ) INTO ids USING p_user, has, without, p_tag, p_last_at, p_last_id, longest, candidates;
            RETURN;
        END IF;
    END IF;
    -- place is the number of the row in this order.
    EXECUTE format(
        'SELECT coalesce(array_agg(id ORDER BY place) FILTER (WHERE fit), ''{}''), max(place),
            (array_agg(moment ORDER BY place DESC))[1], (array_agg(id ORDER BY place DESC))[1]
        FROM (
            SELECT * FROM (
                SELECT t.id, t.%I AS moment, row_number() OVER () AS place, %s AS fit
                FROM (SELECT * FROM tasks t WHERE %s ORDER BY %s LIMIT %s) t
            ) compared WHERE fit OR place = %5$s LIMIT %s
        ) page',
        coalesce(p_moment, 'created_at'), fits, p_rows, newest, many, CASE WHEN is_big THEN p_maximum ELSE many END
    ) INTO ids, rows_read, reached_at, reached_id
    USING p_user, has, without, p_tag, p_last_at, p_last_id, longest;
    stopped := is_big AND (cardinality(ids) >= p_maximum OR coalesce(rows_read, 0) = many);
    IF NOT stopped THEN
        reached_at := NULL;
        reached_id := NULL;
    END IF;
END $$;
REVOKE EXECUTE ON FUNCTION tasks_search FROM PUBLIC;

-- The ids of one user's tasks that have all terms, none of the terms of without, and the tag (null: any or none).
--
-- state is pending, completed, all, deleted, or any (all and deleted). The search goes on after last_at and last_id: the
-- created_at and id of a task, but for any its updated_at. ids is null if no letter or digit is left of the terms.
CREATE OR REPLACE FUNCTION tasks_found(
    of_user text, terms text[], without text[] DEFAULT '{}', tag text DEFAULT NULL, state text DEFAULT 'all',
    title_only boolean DEFAULT false, last_at timestamptz DEFAULT NULL, last_id bigint DEFAULT NULL,
    maximum integer DEFAULT 1001,
    OUT ids bigint[], OUT stopped boolean, OUT reached_at timestamptz, OUT reached_id bigint
)
LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT s.* FROM tasks_search(
        't.user_id = $1' || CASE state
            WHEN 'pending' THEN ' AND t.deleted_at IS NULL AND NOT t.completed'
            WHEN 'completed' THEN ' AND t.deleted_at IS NULL AND t.completed'
            WHEN 'all' THEN ' AND t.deleted_at IS NULL'
            WHEN 'deleted' THEN ' AND t.deleted_at IS NOT NULL'
            WHEN 'any' THEN ''
        END,
        CASE state WHEN 'any' THEN 'updated_at' ELSE 'created_at' END,
        of_user, terms, without, tag, title_only, last_at, last_id, maximum
    ) s WHERE of_user IS NOT NULL  -- null would mean every user
        -- The role of calls may search only for the user of the call (todo_mcp/postgres/wall.py).
        AND (of_user = current_setting('app.user_id', true)
            OR current_setting('role') <> ('calls_of_' || current_database())::name::text)
$$;
REVOKE EXECUTE ON FUNCTION tasks_found FROM PUBLIC;

-- The same for operators, over all users and states, the highest id first.
CREATE OR REPLACE FUNCTION tasks_found_anywhere(
    terms text[], without text[] DEFAULT '{}', tag text DEFAULT NULL, maximum integer DEFAULT 1001,
    OUT ids bigint[], OUT stopped boolean
)
LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT s.ids, s.stopped FROM tasks_search(
        'true', NULL, NULL, terms, without, tag, false, NULL, NULL, maximum
    ) s
$$;
REVOKE EXECUTE ON FUNCTION tasks_found_anywhere FROM PUBLIC;

-- Fixed settings. Nobody's search_path reaches the functions of the owner, nor ANALYZE's path the function of the index.
-- Only the index of words fits the query of tasks_search, whatever the planner expects. And only an index in the order
-- of the list lets it stop: the planner might otherwise read and sort all tasks of a user to find the few in one state.
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOR function IN
        SELECT oid FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
            AND proname IN ('tasks_keys', 'tasks_found', 'tasks_found_anywhere')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', function, current_schema());
        IF function::text LIKE '%tasks_found%' THEN
            EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', function);
            EXECUTE format('ALTER FUNCTION %s SET enable_sort = off', function);
            EXECUTE format('ALTER FUNCTION %s SET work_mem = ''32MB''', function);
        END IF;
    END LOOP;
END $$;
