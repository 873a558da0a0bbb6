"""The shops, categories and goods of the sample marketplace; all of them are invented."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CatalogueCategory:
    """A row of the platform's category table, and whether the platform covers it (R2, R12)."""

    category_id: str
    title: str
    customised: bool = False
    virtual: bool = False
    covered: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Goods:
    """An item that a shop sells."""

    item_id: str
    category_id: str
    title: str
    covered: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueShop:
    """A shop and its goods; `slowness` multiplies the time from payment to shipment."""

    shop_id: str
    name: str
    goods: tuple[Goods, ...]
    slowness: float = 1.0
    covered: bool = True
    reason: str = ""


CATEGORIES = (
    CatalogueCategory("apparel", "女装 Women's wear"),
    CatalogueCategory("shoes", "鞋靴 Shoes"),
    CatalogueCategory("home", "家居日用 Home"),
    CatalogueCategory("kitchen", "厨房用品 Kitchen"),
    CatalogueCategory("beauty", "美妆个护 Beauty"),
    CatalogueCategory("snacks", "休闲零食 Snacks"),
    CatalogueCategory("tea", "茗茶 Tea"),
    CatalogueCategory("baby", "母婴 Mother and baby"),
    CatalogueCategory("digital", "数码配件 Accessories"),
    CatalogueCategory("sports", "运动户外 Outdoor"),
    CatalogueCategory(
        "fresh",
        "生鲜 Fresh food",
        covered=False,
        reason="生鲜易腐，暂不在服务范围内 Perishable goods are not covered yet",
    ),
    CatalogueCategory("engraving", "刻字定制 Made to order", customised=True),
    CatalogueCategory("vouchers", "充值卡券 Top-ups and vouchers", virtual=True),
)

_WARES: dict[str, tuple[str, ...]] = {
    "apparel": (
        "碎花连衣裙 Floral dress",
        "针织开衫 Knitted cardigan",
        "高腰牛仔裤 High-waist jeans",
        "羊毛围巾 Wool scarf",
    ),
    "shoes": ("帆布鞋 Canvas shoes", "软底乐福鞋 Soft loafers", "雪地靴 Snow boots", "凉拖 Slides"),
    "home": ("四件套床品 Bedding set", "香薰蜡烛 Scented candle", "收纳箱 Storage box", "遮光窗帘 Blackout curtain"),
    "kitchen": ("不粘煎锅 Non-stick pan", "陶瓷碗六只 Six ceramic bowls", "保温杯 Vacuum flask", "竹砧板 Bamboo board"),
    "beauty": ("保湿面霜 Moisturiser", "氨基酸洁面 Face wash", "丝绒口红 Velvet lipstick", "防晒乳 Sunscreen"),
    "snacks": ("每日坚果 Daily nuts", "手撕牛肉干 Beef jerky", "芒果干 Dried mango", "蛋黄酥 Egg-yolk pastry"),
    "tea": ("碧螺春 Biluochun tea", "老白茶饼 Aged white tea", "桂花乌龙 Osmanthus oolong", "盖碗茶具 Gaiwan set"),
    "baby": ("婴儿纸尿裤 Nappies", "磨牙饼干 Teething biscuits", "积木 Building blocks", "连体衣 Romper"),
    "digital": ("氮化镓充电头 GaN charger", "手机壳 Phone case", "蓝牙耳机 Earphones", "桌面支架 Desk stand"),
    "sports": ("瑜伽垫 Yoga mat", "登山杖 Trekking poles", "速干T恤 Quick-dry shirt", "露营灯 Camping lamp"),
    "fresh": ("阳澄湖大闸蟹 Hairy crabs", "赣南脐橙 Navel oranges", "冷鲜牛腩 Chilled brisket", "水果玉米 Sweetcorn"),
    "engraving": ("刻字保温杯 Engraved flask", "照片抱枕 Photo cushion", "姓名印章 Name seal", "定制相册 Photo album"),
    "vouchers": ("话费充值 Phone top-up", "视频会员月卡 Video pass", "咖啡电子券 Coffee voucher", "游戏点卡 Game card"),
}

_NAMES = (
    ("apparel", "南枝女装 Nanzhi Wear", 1.0),
    ("apparel", "小鹿衣橱 Fawn Wardrobe", 1.0),
    ("apparel", "素年裁缝铺 Quiet Years Tailor", 2.6),
    ("shoes", "行走研究所 Walking Lab", 1.0),
    ("shoes", "大码鞋坊 Long Last Shoes", 1.0),
    ("home", "屋里有光 Light Indoors", 1.0),
    ("home", "木白生活 Mubai Living", 0.8),
    ("kitchen", "灶边小馆 Stoveside", 1.0),
    ("kitchen", "青瓷里 Celadon Lane", 2.4),
    ("beauty", "朝露护肤 Morning Dew", 0.7),
    ("beauty", "胭脂巷 Rouge Alley", 1.0),
    ("snacks", "馋猫零食 Greedy Cat Snacks", 0.6),
    ("snacks", "山货郎 Mountain Pedlar", 1.0),
    ("tea", "半山茶舍 Halfway Hill Tea", 1.0),
    ("tea", "听雨茶行 Rain Listener Tea", 1.0),
    ("baby", "豆豆乐园 Bean Garden", 1.0),
    ("digital", "极客杂货铺 Geek Grocer", 0.8),
    ("digital", "万能线材 Any Cable", 1.0),
    ("sports", "野径户外 Wild Path", 1.0),
    ("sports", "晨跑社 Dawn Runners", 2.2),
    ("fresh", "湖畔鲜生 Lakeside Fresh", 0.4),
    ("engraving", "一字一刻 Letter by Letter", 1.5),
    ("vouchers", "秒充小站 Instant Top-up", 0.1),
    ("home", "捡漏清仓 Clearance Corner", 1.8),
)

UNCOVERED_SHOP = "s-24"
UNCOVERED_ITEM = "i-09-2"


def shops() -> tuple[CatalogueShop, ...]:
    """The shops with four items each; one shop and one single item are not covered (R12)."""
    return tuple(_shop(number, *entry) for number, entry in enumerate(_NAMES, start=1))


def _shop(number: int, category_id: str, name: str, slowness: float) -> CatalogueShop:
    shop_id = f"s-{number:02d}"
    covered = shop_id != UNCOVERED_SHOP
    reason = "" if covered else "发货及时率长期不达标 Persistently late shipping"
    goods = tuple(
        _goods(f"i-{number:02d}-{index}", category_id, title) for index, title in enumerate(_WARES[category_id])
    )
    return CatalogueShop(shop_id, name, goods, slowness, covered, reason)


def _goods(item_id: str, category_id: str, title: str) -> Goods:
    if item_id == UNCOVERED_ITEM:
        return Goods(
            item_id, category_id, title, covered=False, reason="易碎品包装整改中 Fragile: packaging under review"
        )
    return Goods(item_id, category_id, title)
